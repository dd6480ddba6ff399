//! The right receivers: one for each cure. Each file stands alone and is meant to be read from top to bottom.

pub mod delimiter;
pub mod fixed_size;
pub mod header;
pub mod length;
