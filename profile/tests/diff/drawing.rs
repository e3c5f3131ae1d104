//! The differential flamegraph.

use profile::{diff::Side, encode::svg};
use quick_xml::{Reader, events::Event};

use crate::made::{Made, PLAIN, name, side};

/// Titles of the frames of a drawing.
fn titles(before: &Side, after: &Side) -> Vec<String> {
    let mut drawing = Vec::new();
    svg::write_difference(before.profile(), after.profile(), &mut drawing).expect("draws");
    let drawing = String::from_utf8(drawing).expect("is text");
    let mut reader = Reader::from_str(&drawing);
    let (mut titles, mut in_title) = (Vec::new(), false);
    loop {
        match reader.read_event().expect("is XML") {
            Event::Start(tag) => in_title = tag.name().as_ref() == b"title",
            Event::Text(text) if in_title => titles.push(String::from_utf8_lossy(&text).into_owned()),
            Event::End(_) => in_title = false,
            Event::Eof => return titles,
            _ => {}
        }
    }
}

#[test]
fn a_frame_that_gained_says_by_how_much_of_everything() {
    let mut rng = fastrand::Rng::with_seed(1);
    let before = side(Made { n_samples: 100_000.0, ..PLAIN }, &mut rng);
    let after = side(Made { n_samples: 200_000.0, slower: Some((3, 2.0)), ..PLAIN }, &mut rng);
    let titles = titles(&before, &after);
    let of = |rank: usize| titles.iter().find(|title| title.starts_with(&format!("{} ", name(rank))));
    // 6 % of all before, 11 % after: twice the load alone would have changed nothing.
    let slower = of(3).expect("is drawn");
    assert!(slower.contains("; +") && slower.contains("nanoseconds"), "{slower}");
    let other = of(0).expect("is drawn");
    assert!(other.contains("; -"), "{other}");
}

#[test]
fn nothing_to_compare_is_a_drawing_too() {
    let mut rng = fastrand::Rng::with_seed(1);
    let empty = side(Made { n_samples: 0.0, ..PLAIN }, &mut rng);
    let full = side(PLAIN, &mut rng);
    assert_eq!(titles(&empty, &full), Vec::<String>::new());
}
