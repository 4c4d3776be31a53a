//! Lists in a record, for serde: a list with more items than its field may have is an error.
//!
//! An item of one or two bytes takes up to 48 bytes of memory. Without these limits a frame of 1 MiB could
//! command many times its length, and several frames are decoded at a time.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// Reads a list of at most `MAX` items.
pub(super) fn at_most<'de, const MAX: usize, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    from.deserialize_seq(List {
        max: MAX,
        items: PhantomData,
    })
}

struct List<T> {
    max: usize,
    items: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {} items", self.max)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        if let Some(announced) = seq.size_hint().filter(|announced| *announced > self.max) {
            return Err(A::Error::invalid_length(announced, &self));
        }
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            if items.len() == self.max {
                return Err(A::Error::invalid_length(items.len() + 1, &self));
            }
            items.push(item);
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use crate::codec;
    use crate::manifest::{Record, RunBegin};

    #[test]
    fn a_list_longer_than_its_field_may_be_is_no_record() {
        let is_record = |options: usize| {
            let run: Record = Record::RunBegin(RunBegin {
                options: vec![Default::default(); options],
                ..RunBegin::default()
            });
            let mut bytes = Vec::new();
            codec::encode(&run, &mut bytes).unwrap();
            codec::decode::<Record>(&bytes).is_ok()
        };
        assert!(is_record(RunBegin::OPTIONS_MAX));
        assert!(!is_record(RunBegin::OPTIONS_MAX + 1));
    }
}
