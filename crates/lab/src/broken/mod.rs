//! The wrong receivers: each has one mistake that is met again and again. Each file stands alone; its opening names the
//! mistake, and `WRONG` marks the line.

pub mod delimiter;
pub mod fixed_size;
pub mod header;
pub mod length;
pub mod limit;
