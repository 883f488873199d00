//! The guest agent: pid 1 of a container, processes, stdio, signals, terminals.
