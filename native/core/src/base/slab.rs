//! A slab whose keys notice reuse: an index names a place, a generation names who lives there.

/// Names one inhabitant of a [`Slab`]; a key of somebody who left finds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key {
    /// Place in the slab.
    pub index: u32,
    /// How often the place was taken.
    pub generation: u32,
}

impl Key {
    /// Key as one number, for tokens.
    pub fn pack(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The reverse of [`Key::pack`].
    pub fn unpack(packed: u64) -> Key {
        Key { index: packed as u32, generation: (packed >> 32) as u32 }
    }
}

struct Place<T> {
    generation: u32,
    value: Option<T>,
}

/// Values at stable places, reused last-left-first-taken so that warm memory stays warm.
pub struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a value made from its own key.
    pub fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, value: None });
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[index as usize];
        let key = Key { index, generation: place.generation };
        place.value = Some(make(key));
        key
    }

    /// The key that the next value will get.
    pub fn next_key(&self) -> Key {
        let index = self.free.last().copied().unwrap_or(self.places.len() as u32);
        Key { index, generation: self.generation_at(index).unwrap_or(0) }
    }

    /// Generation of a place, taken or not; none for places that never were.
    pub fn generation_at(&self, index: u32) -> Option<u32> {
        self.places.get(index as usize).map(|place| place.generation)
    }

    /// The value a key names, if it still lives there.
    pub fn get(&self, key: Key) -> Option<&T> {
        match self.places.get(key.index as usize) {
            Some(place) if place.generation == key.generation => place.value.as_ref(),
            _ => None,
        }
    }

    /// As [`Slab::get`], to change.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.places.get_mut(key.index as usize) {
            Some(place) if place.generation == key.generation => place.value.as_mut(),
            _ => None,
        }
    }

    /// Takes a value out; its key finds nothing from now on.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.places.get_mut(key.index as usize).filter(|place| place.generation == key.generation)?;
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(value)
    }

    /// Takes all values out. Their keys go on finding nothing, also once others have come.
    pub fn drain(&mut self) -> Vec<T> {
        let keys = self.keys();
        keys.into_iter().filter_map(|key| self.remove(key)).collect()
    }

    /// Places that were ever taken.
    pub fn places(&self) -> u32 {
        self.places.len() as u32
    }

    /// The key of who lives at a place.
    pub fn key_at(&self, index: u32) -> Option<Key> {
        let place = self.places.get(index as usize).filter(|place| place.value.is_some())?;
        Some(Key { index, generation: place.generation })
    }

    /// Keys of all values, in order of place.
    pub fn keys(&self) -> Vec<Key> {
        let alive =
            |(index, place): (usize, &Place<T>)| place.value.as_ref().map(|_| Key { index: index as u32, generation: place.generation });
        self.places.iter().enumerate().filter_map(alive).collect()
    }

    /// All values with their keys.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.places.iter().enumerate().filter_map(|(index, place)| {
            place.value.as_ref().map(|value| (Key { index: index as u32, generation: place.generation }, value))
        })
    }

    /// As [`Slab::iter`], to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.places.iter_mut().enumerate().filter_map(|(index, place)| {
            let key = Key { index: index as u32, generation: place.generation };
            place.value.as_mut().map(|value| (key, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_somebody_who_left_finds_nothing() {
        let mut slab = Slab::default();
        let first = slab.insert_with(|_| "first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert_with(|_| "second");
        assert_eq!(second.index, first.index);
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.len(), 1);
        assert_eq!(Key::unpack(second.pack()), second);
    }
}
