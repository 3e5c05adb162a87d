//! Signals in, verdicts out.
