//! A batch in its shortest form: of each key only the newest image, by table, deletes beside upserts.

use std::collections::HashMap;
use std::sync::Arc;

use crate::effect::{Key, RowChange, Shape, TableId};

/// What is written to one table under one shape.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) shape: &'a Arc<Shape>,
    pub(super) deletes: Vec<&'a Key>,
    pub(super) upserts: Vec<(&'a Key, &'a str)>,
}

/// The newest change of each key, grouped by table in the order first touched; of a table without key, every row. Of
/// equal stamps the later one counts: a table without WAL gives no others.
pub(super) fn compact<'a>(changes: impl IntoIterator<Item = &'a RowChange>) -> Vec<Group<'a>> {
    let mut newest: HashMap<(TableId, &Key), usize> = HashMap::new();
    let mut kept: Vec<&RowChange> = Vec::new();
    for change in changes {
        if change.key.is_empty() {
            kept.push(change);
            continue;
        }
        let slot = *newest.entry((change.shape.table, &change.key)).or_insert(kept.len());
        match kept.get_mut(slot) {
            None => kept.push(change),
            Some(other) if other.stamp <= change.stamp => *other = change,
            Some(_) => {}
        }
    }
    let mut groups: Vec<Group<'a>> = Vec::new();
    for change in kept {
        let index = groups.iter().position(|group| same(group.shape, &change.shape)).unwrap_or_else(|| {
            groups.push(Group { shape: &change.shape, deletes: Vec::new(), upserts: Vec::new() });
            groups.len() - 1
        });
        match &change.image {
            Some(image) => groups[index].upserts.push((&change.key, image)),
            None => groups[index].deletes.push(&change.key),
        }
    }
    groups
}

fn same(one: &Arc<Shape>, other: &Arc<Shape>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::effect::{Column, Epoch, Lsn, Stamp};

    fn shape(table: u32) -> Arc<Shape> {
        let column = Column { name: "id".into(), type_name: "pg_catalog.int4".into(), generated: false };
        Arc::new(Shape {
            table: TableId(table),
            schema: "s".into(),
            name: "t".into(),
            columns: vec![column],
            key: vec![0],
        })
    }

    fn change(shape: &Arc<Shape>, key: u8, lsn: u64, image: Option<&str>) -> RowChange {
        RowChange {
            shape: shape.clone(),
            key: Key::new([key.to_string().as_str()]),
            stamp: Stamp { epoch: Epoch(0), lsn: Lsn(lsn) },
            image: image.map(Into::into),
        }
    }

    #[test]
    fn tables_come_in_the_order_first_touched() {
        let (a, b) = (shape(1), shape(2));
        let changes = [change(&b, 1, 1, Some("(1)")), change(&a, 1, 2, Some("(1)")), change(&b, 1, 3, None)];
        let groups = compact(&changes);
        assert_eq!(groups.iter().map(|group| group.shape.table.0).collect::<Vec<_>>(), [2, 1]);
        assert_eq!((groups[0].deletes.len(), groups[0].upserts.len()), (1, 0));
    }

    proptest! {
        #[test]
        fn each_key_is_there_once_with_its_newest_image(
            writes in prop::collection::vec((0u8..5, 0u64..20, any::<bool>()), 0..40)
        ) {
            let shape = shape(1);
            let images: Vec<_> = (0..writes.len()).map(|i| format!("({i})")).collect();
            let changes: Vec<_> = writes.iter().zip(&images)
                .map(|((key, lsn, there), image)| change(&shape, *key, *lsn, there.then_some(image.as_str())))
                .collect();
            let mut model: HashMap<&Key, &RowChange> = HashMap::new();
            for change in &changes {
                let newest = model.entry(&change.key).or_insert(change);
                if newest.stamp <= change.stamp {
                    *newest = change;
                }
            }
            let groups = compact(&changes);
            let deletes: usize = groups.iter().map(|group| group.deletes.len()).sum();
            let upserts: usize = groups.iter().map(|group| group.upserts.len()).sum();
            prop_assert_eq!(deletes + upserts, model.len());
            for group in &groups {
                for key in &group.deletes {
                    prop_assert!(model[*key].image.is_none());
                }
                for (key, image) in &group.upserts {
                    prop_assert_eq!(model[*key].image.as_deref(), Some(*image));
                }
            }
        }
    }
}
