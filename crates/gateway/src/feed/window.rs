//! What has been told lately, for everybody to read at their own pace.
//!
//! A reader is a place in a window: it costs the writer nothing, whatever it does. One that falls out of the
//! window has missed something, and is told so.

use std::{collections::VecDeque, sync::Arc};

use arc_swap::ArcSwap;
use tokio::sync::watch;

/// How much a window holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) items: usize,
    pub(crate) bytes: usize,
}

/// Something with a size.
pub(crate) trait Sized {
    /// Bytes it keeps alive.
    fn bytes(&self) -> usize;
}

/// The newest items, numbered from the first there ever was.
pub(crate) struct Window<T> {
    first: u64,
    items: VecDeque<Arc<T>>,
    bytes: usize,
}

/// What stands at a place.
pub(crate) enum At<T> {
    /// This.
    Item(Arc<T>),
    /// Nothing yet.
    End,
    /// It is no longer kept.
    Gone,
}

impl<T: Sized> Window<T> {
    /// The place after the newest item.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.items.len() as u64
    }

    /// What stands at `place`.
    pub(crate) fn at(&self, place: u64) -> At<T> {
        match place.checked_sub(self.first) {
            None => At::Gone,
            Some(index) => {
                let item = usize::try_from(index).ok().and_then(|index| self.items.get(index));
                item.map_or(At::End, |item| At::Item(item.clone()))
            }
        }
    }

    fn and(&self, new: impl IntoIterator<Item = T>, room: Room) -> Self {
        let mut items = self.items.clone();
        let mut bytes = self.bytes;
        for item in new {
            bytes += item.bytes();
            items.push_back(Arc::new(item));
        }
        let mut first = self.first;
        // The newest stays, however large.
        while items.len() > 1 && (items.len() > room.items || bytes > room.bytes) {
            bytes -= items.pop_front().map_or(0, |item| item.bytes());
            first += 1;
        }
        Self { first, items, bytes }
    }
}

/// A window and who waits for it to move. There is one writer.
pub(crate) struct Stream<T> {
    window: ArcSwap<Window<T>>,
    /// Where it ends.
    end: watch::Sender<u64>,
    room: Room,
}

impl<T: Sized> Stream<T> {
    pub(crate) fn new(room: Room) -> Self {
        let empty = Window { first: 0, items: VecDeque::new(), bytes: 0 };
        Self { window: ArcSwap::from_pointee(empty), end: watch::Sender::new(0), room }
    }

    /// Appends, and wakes the readers once.
    pub(crate) fn tell(&self, new: impl IntoIterator<Item = T>) {
        let next = self.now().and(new, self.room);
        let end = next.end();
        self.window.store(Arc::new(next));
        self.end.send_replace(end);
    }

    /// The window as it is.
    pub(crate) fn now(&self) -> Arc<Window<T>> {
        self.window.load_full()
    }

    /// Told whenever the window moves.
    pub(crate) fn moves(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Sized for u8 {
        fn bytes(&self) -> usize {
            usize::from(*self)
        }
    }

    #[test]
    fn a_window_keeps_the_newest_within_its_room() {
        let stream = Stream::new(Room { items: 3, bytes: 100 });
        let check = |new: &[u8], want: &[Option<u8>]| {
            stream.tell(new.iter().copied());
            let window = stream.now();
            let got: Vec<_> = (0..window.end())
                .map(|place| match window.at(place) {
                    At::Item(item) => Some(*item),
                    At::Gone => None,
                    At::End => panic!("within the window"),
                })
                .collect();
            assert_eq!(got, want);
            assert!(matches!(window.at(window.end()), At::End));
        };
        check(&[1, 2], &[Some(1), Some(2)]);
        check(&[3, 4], &[None, Some(2), Some(3), Some(4)]);
        check(&[95], &[None, None, None, Some(4), Some(95)]);
        check(&[101], &[None, None, None, None, None, Some(101)]);
    }
}
