//! Programs of the data sandbox (数据沙箱): WebAssembly modules that see what they are handed and nothing else. The only crate that
//! runs what others wrote.
