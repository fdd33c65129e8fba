//! The port of programs that others wrote: what one would call, and running it over what it is handed.

use std::time::Duration;

use async_trait::async_trait;
use model::Result;

/// Programs of the data sandbox. `sandbox` implements it, `app` calls it, several at once. A program knows its tables, where to
/// write, and nothing else: no network, files, clock or chance. Same program, same tables, same outcome.
#[async_trait]
pub trait Programs: Send + Sync {
    /// Reads a module, binary or text; refuses it with the reason (`invalid`) unless it calls our narrow interface only.
    async fn check(&self, module: Vec<u8>) -> Result<ProgramSeen>;

    /// Runs a module over tables. What goes wrong inside the program is an [`ProgramEnd::fault`], not an error.
    async fn run(
        &self,
        module: Vec<u8>,
        tables: Vec<Vec<u8>>,
        limits: ProgramLimits,
    ) -> Result<ProgramEnd>;

    /// The text of a program that ships with the platform, to begin with.
    fn sample(&self) -> &'static str;
}

/// A module as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramSeen {
    /// Functions of the interface that it calls.
    pub calls: Vec<String>,
    /// Its entry is there, and so is its memory; memory at the beginning, bytes.
    pub memory: u64,
}

/// How far a program may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramLimits {
    /// Steps: about one an instruction.
    pub fuel: u64,
    pub memory_bytes: usize,
    pub time: Duration,
    pub output_bytes: usize,
    pub log_bytes: usize,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramEnd {
    /// What it wrote. Empty where it failed.
    pub output: Vec<u8>,
    pub log: String,
    pub fuel: u64,
    pub millis: u64,
    pub fault: Option<ProgramFault>,
}

/// Why a program was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramFault {
    Fuel,
    Memory,
    Time,
    Output,
    /// It pointed outside its memory, or named a table that is not there.
    Pointer,
    /// It stopped itself or broke a rule of its machine.
    Trap,
    /// Its entry answered something else than 0.
    Code(i32),
}

impl ProgramFault {
    /// In both languages.
    #[must_use]
    pub fn told(self) -> (String, String) {
        let (zh, en) = match self {
            Self::Fuel => ("计算步数用完", "it used its steps up"),
            Self::Memory => ("内存超过上限", "it wanted more memory than it may have"),
            Self::Time => ("运行超时", "it ran too long"),
            Self::Output => ("输出超过上限", "it wrote more than it may"),
            Self::Pointer => (
                "访问了内存以外的地址或不存在的表",
                "it pointed outside its memory, or at a table that is not there",
            ),
            Self::Trap => ("程序中止（陷阱）", "it trapped"),
            Self::Code(code) => {
                return (format!("程序返回代码 {code}"), format!("it answered the code {code}"));
            }
        };
        (zh.to_owned(), en.to_owned())
    }
}
