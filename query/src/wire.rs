//! What of a plan is ours, as bytes, so that another process can carry the plan out: tables of files, and decisions of the scan.
//! Whoever reads it takes it from the network: anything is one of them, or none.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use datafusion::{catalog::TableProvider, logical_expr::ScalarUDF};

use crate::{chosen::Chosen, table::FileTable};

/// A table of ours; none if it is another's.
#[must_use]
pub fn table_to_bytes(table: &dyn TableProvider) -> Option<Vec<u8>> {
    table.downcast_ref::<FileTable>()?.to_bytes()
}

/// A table, with the columns that it had; none if that is no table.
#[must_use]
pub fn table_of_bytes(bytes: &[u8], schema: SchemaRef) -> Option<Arc<dyn TableProvider>> {
    Some(Arc::new(FileTable::of_bytes(bytes, schema)?))
}

/// A function of ours; none if it is another's.
#[must_use]
pub fn function_to_bytes(function: &ScalarUDF) -> Option<Vec<u8>> {
    function.inner().downcast_ref::<Chosen>()?.to_bytes()
}

/// A function, by the name that it had; none if that is no function.
#[must_use]
pub fn function_of_bytes(name: &str, bytes: &[u8]) -> Option<ScalarUDF> {
    Chosen::of_bytes(name, bytes).map(ScalarUDF::new_from_impl)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use datafusion::{execution::object_store::ObjectStoreUrl, logical_expr::Expr};
    use layout::Table;
    use object_store::{ObjectMeta, path::Path};
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;
    use crate::{
        chosen::{has_labels, is_met, is_wanted},
        selector::{Matcher, Op},
    };

    fn function(expr: Expr) -> Arc<ScalarUDF> {
        match expr {
            Expr::ScalarFunction(it) => it.func,
            other => panic!("{other} is no function"),
        }
    }

    #[test]
    fn decisions_and_tables_come_back_as_they_were() {
        let matcher = |op, value| Matcher::new("host.name", op, value).expect("is one");
        let labels = vec![matcher(Op::Matches, "a\"\\.*|ü"), matcher(Op::IsNot, "")];
        let ids = Arc::new(HashSet::from_iter([[0xfe; 16]]));
        for expr in [
            is_met("host", &matcher(Op::MatchesNot, "x")),
            has_labels(&["labels"], labels),
            is_wanted("frame", ids),
        ] {
            let function = function(expr);
            let bytes = function_to_bytes(&function).expect("is ours");
            let back = function_of_bytes(function.name(), &bytes).expect("is one");
            assert_eq!(format!("{back:?}"), format!("{function:?}"));
        }
        let files = ["samples/a=2Eb/2026-11-21/17/x.parquet", "y"].map(|path| ObjectMeta {
            location: Path::parse(path).expect("is a path"),
            last_modified: chrono::DateTime::from_timestamp_nanos(1_795_132_800_000_000_001),
            size: u64::MAX,
            e_tag: None,
            version: None,
        });
        let store = ObjectStoreUrl::parse("store://x-1").expect("is one");
        let schema = layout::schema(Table::Samples);
        let table = FileTable::new(Arc::clone(&schema), store, files.to_vec());
        let bytes = table_to_bytes(&table).expect("is ours");
        let back = FileTable::of_bytes(&bytes, schema).expect("is one");
        assert_eq!(format!("{back:?}"), format!("{table:?}"));
    }

    proptest! {
        #[test]
        fn bytes_of_anybody_are_ours_or_none(bytes in any::<Vec<u8>>(), text in ".{0,64}") {
            let schema = layout::schema(Table::Frames);
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                // The rest of what begins as a set of identities is one only if it can be cut into them.
                let is_function = function_of_bytes("f", bytes).is_some();
                prop_assert!(!is_function || bytes.len() % 16 == 1 || bytes.first() != Some(&b'i'), "{bytes:?}");
                drop(table_of_bytes(bytes, Arc::clone(&schema)));
            }
        }
    }
}
