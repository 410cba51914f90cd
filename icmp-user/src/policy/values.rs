//! A set of types or codes, as a rule names it.

/// One item of a set, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValuesItem {
    /// One value.
    One(u8),
    /// From the first to the last, both included.
    Range(u8, u8),
}

/// A set of types or codes. It keeps how it was written, because a value named by itself is
/// counted apart (row C1), and one inside a range isn't.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    items: Vec<ValuesItem>,
    bits: [u64; 4],
}

impl Values {
    /// The set of these items.
    #[must_use]
    pub fn new(items: Vec<ValuesItem>) -> Self {
        let mut bits = [0; 4];
        for item in &items {
            let (first, last) = match *item {
                ValuesItem::One(value) => (value, value),
                ValuesItem::Range(first, last) => (first, last),
            };
            for value in first..=last {
                bits[usize::from(value >> 6)] |= 1 << (value & 63);
            }
        }
        Self { items, bits }
    }

    /// The items, as written.
    #[must_use]
    pub fn items(&self) -> &[ValuesItem] {
        &self.items
    }

    /// Whether the value is in it.
    #[must_use]
    pub fn contains(&self, value: u8) -> bool {
        self.bits[usize::from(value >> 6)] >> (value & 63) & 1 == 1
    }

    /// How many values are in it: the fewer, the more specific.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.bits.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether some value is in both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.bits.iter().zip(&other.bits).any(|(a, b)| a & b != 0)
    }

    /// The least value.
    #[must_use]
    pub fn first(&self) -> Option<u8> {
        (0..=u8::MAX).find(|v| self.contains(*v))
    }

    /// The only value, where there is one.
    #[must_use]
    pub fn single(&self) -> Option<u8> {
        if self.count() == 1 { self.first() } else { None }
    }

    /// The values that are named by themselves, not inside a range.
    pub fn named(&self) -> impl Iterator<Item = u8> {
        self.items.iter().filter_map(|item| match *item {
            ValuesItem::One(value) => Some(value),
            ValuesItem::Range(..) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_its_items_say_and_nothing_else() {
        let set =
            Values::new(vec![ValuesItem::One(255), ValuesItem::Range(60, 70), ValuesItem::One(65)]);
        for value in 0..=u8::MAX {
            assert_eq!(set.contains(value), value == 255 || (60..=70).contains(&value), "{value}");
        }
        assert_eq!((set.count(), set.first(), set.single()), (12, Some(60), None));
        assert_eq!(set.named().collect::<Vec<_>>(), [255, 65]);
        assert!(set.overlaps(&Values::new(vec![ValuesItem::Range(0, 60)])));
        assert!(!set.overlaps(&Values::new(vec![ValuesItem::Range(0, 59)])));
        assert_eq!(Values::new(vec![ValuesItem::Range(7, 7)]).single(), Some(7));
        assert_eq!(Values::new(vec![ValuesItem::Range(0, 255)]).count(), 256);
    }
}
