//! End to end, conformance, zero allocation, dependency arrows.

pub mod decoded;
pub mod fuzz;
pub mod heap;
pub mod hot_path;
pub mod process;
pub mod trap;
