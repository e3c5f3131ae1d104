//! What lives of the allocations of one stack.

use profile::trend::Point;

use crate::estimate::Estimate;

/// Estimated sums over what lives.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct InUse {
    /// Objects.
    pub n_objects: f64,
    /// Their bytes.
    pub n_bytes: u64,
    /// Variance of the estimate of their bytes.
    pub variance: f64,
}

impl InUse {
    /// Adds what one sample stands for.
    pub fn add(&mut self, estimate: &Estimate) {
        self.n_objects += estimate.n_events;
        self.n_bytes = self.n_bytes.saturating_add(estimate.weight);
        self.variance += estimate.variance;
    }
}

/// Upper ends of the classes of age but the last.
const AGE_ENDS_NS: [u64; 4] = [1_000_000_000, 10_000_000_000, 60_000_000_000, 600_000_000_000];

/// Bytes by how long they have lived: under 1 s, 10 s, 1 min, 10 min, and longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ages(pub [u64; AGE_ENDS_NS.len() + 1]);

impl Ages {
    /// Adds bytes of one age.
    pub fn add(&mut self, age_ns: u64, n_bytes: u64) {
        let class = AGE_ENDS_NS.partition_point(|end_ns| *end_ns <= age_ns);
        if let Some(sum) = self.0.get_mut(class) {
            *sum = sum.saturating_add(n_bytes);
        }
    }
}

/// What became of the allocations of one stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveStack {
    /// What lives.
    pub in_use: InUse,
    /// For how long it has.
    pub ages: Ages,
    /// How much lived over time. The points of all stacks have the same times.
    pub points: Vec<Point>,
}

#[cfg(test)]
mod tests {
    use super::Ages;

    #[test]
    fn an_age_falls_into_the_first_class_that_it_is_under() {
        let s = 1_000_000_000;
        let mut ages = Ages::default();
        for age_ns in [0, s - 1, s, 10 * s, 59 * s, 60 * s, 600 * s - 1, 600 * s, u64::MAX] {
            ages.add(age_ns, 1);
        }
        assert_eq!(ages.0, [2, 1, 2, 2, 2]);
    }
}
