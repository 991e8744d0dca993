//! A list that is nearly always short.

use std::ops::Deref;

/// Elements that need no allocation. Nearly every message has at most as many headers that the log keeps.
const FEW: usize = 4;

/// A list whose first elements lie in itself, so that a short one allocates nothing. A longer one lies in a vector.
#[derive(Debug, Default)]
pub(super) struct Few<T> {
    few: [T; FEW],
    length: usize,
    /// All elements, where they are more than few.
    many: Vec<T>,
}

impl<T: Default> Few<T> {
    /// Appends an element.
    pub(super) fn push(&mut self, element: T) {
        match self.few.get_mut(self.length) {
            Some(place) => *place = element,
            None => {
                if self.many.is_empty() {
                    self.many.extend(self.few.iter_mut().map(std::mem::take));
                }
                self.many.push(element);
            }
        }
        self.length = self.length.saturating_add(1);
    }

    /// All elements, to be put into another order.
    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        match self.few.get_mut(..self.length) {
            Some(few) => few,
            None => &mut self.many,
        }
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.few.get(..self.length).unwrap_or(&self.many)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_elements_stay_in_their_order() {
        for count in 0..3 * FEW {
            let mut list = Few::default();
            let expected: Vec<String> = (0..count).map(|number| number.to_string()).collect();
            expected.iter().for_each(|element| list.push(element.clone()));
            assert_eq!(*list, expected[..]);
            list.as_mut_slice().reverse();
            assert!(list.iter().rev().eq(&expected), "{list:?}");
            assert_eq!(list.many.capacity() > 0, count > FEW);
        }
    }
}
