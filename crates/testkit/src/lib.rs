//! A whole house in memory, with a fixed clock
