//! A cache with a limit on its cost.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;

/// Keeps what was used lately, in two generations.
///
/// New and used entries stand in the young generation. When that has taken half of the limit, it becomes the old one and what was
/// old is dropped. So an entry lives as long as it is used, the whole never costs more than the limit plus one entry, and there are
/// no lists to keep in order on a hit.
#[derive(Debug)]
pub(crate) struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    young_cost: usize,
    cost_max: usize,
}

impl<K: Eq + Hash + Clone, V: Clone> Generations<K, V> {
    /// An empty cache whose entries together cost at most `cost_max`, in the unit that [`Self::get`] is told costs in.
    pub(crate) fn new(cost_max: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            young_cost: 0,
            cost_max,
        }
    }

    /// The value of `key`, made when it is not there; `cost` weighs it.
    pub(crate) fn get(
        &mut self,
        key: &K,
        cost: impl Fn(&V) -> usize,
        make: impl FnOnce() -> V,
    ) -> V {
        if let Some(value) = self.young.get(key) {
            return value.clone();
        }
        let value = self.old.remove(key).unwrap_or_else(make);
        self.young_cost = self.young_cost.saturating_add(cost(&value));
        self.young.insert(key.clone(), value.clone());
        if self.young_cost > self.cost_max / 2 {
            self.old = mem::take(&mut self.young);
            self.young_cost = 0;
        }
        value
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.young_cost = 0;
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let mut cache = Generations::new(20);
        for round in 0..100 {
            assert_eq!(cache.get(&0, |_| 1, || round), 0, "always in use");
            cache.get(&(round + 1), |_| 1, || round);
            assert!(cache.len() <= 22);
        }
        assert_eq!(cache.get(&1, |_| 1, || -1), -1, "unused since round 0");
        cache.clear();
        assert_eq!(cache.len(), 0);
    }
}
