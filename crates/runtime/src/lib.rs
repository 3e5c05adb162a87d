//! The machine room: supervised tasks, the clock, network and disk seams, metrics, logs and TLS, and
//! the four seams through which a capability reaches the rest of the house.

pub mod clock;
pub mod disk;
pub mod net;
pub mod seam;
