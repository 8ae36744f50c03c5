//! The daemon: reads its configuration once, wires the ports, listens, runs the workers
