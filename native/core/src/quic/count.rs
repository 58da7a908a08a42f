//! Connections of a listener, counted by all its shards together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How many connections a listener has in all shards.
#[derive(Clone, Debug, Default)]
pub struct ConnectionCount(Arc<AtomicUsize>);

impl ConnectionCount {
    /// A place for one more, if there are fewer than `limit`; it is free again when it is dropped.
    pub fn take(&self, limit: usize) -> Option<ConnectionPlace> {
        // Every shard adds before it looks, so that together they never pass the limit.
        let place = ConnectionPlace(self.clone());
        (self.0.fetch_add(1, Relaxed) < limit).then_some(place)
    }

    /// How many there are.
    pub fn get(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// A connection's place among those of its listener.
#[derive(Debug)]
pub struct ConnectionPlace(ConnectionCount);

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_together_never_have_more_places_than_the_limit() {
        let count = ConnectionCount::default();
        let most = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut held = Vec::new();
                        for round in 0..20_000 {
                            held.extend(count.take(5));
                            if round % 3 == 0 {
                                held.pop();
                            }
                        }
                        held
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(most.iter().map(Vec::len).sum::<usize>(), count.get());
        assert!(count.get() <= 5);
        let rest: Vec<_> = std::iter::from_fn(|| count.take(5)).collect();
        assert_eq!(count.get(), 5);
        drop((most, rest));
        assert_eq!(count.get(), 0);
    }
}
