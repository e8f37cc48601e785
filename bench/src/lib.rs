//! Latency per rung and throughput, beside the usual way and the host's floors.
