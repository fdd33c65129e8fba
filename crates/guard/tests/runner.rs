//! The one integration binary of `guard`: known vectors stand beside the code, behaviour and properties here.

mod chain;
mod mask;
mod speed;
