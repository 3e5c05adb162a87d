//! The estate: what a user runs and depends on.
