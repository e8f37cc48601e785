//! End to end, conformance, zero allocation, dependency arrows.
