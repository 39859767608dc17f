//! Front-ends for agents and their platforms: they translate, and decide nothing.

pub mod mcp;
mod wire;
