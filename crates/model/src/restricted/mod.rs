//! Restricted opening (受限开放): the application for data that are open on conditions, the papers that are signed for them, and the
//! credit record (信用记录) of those who broke the rules.
//!
//! 浙江省公共数据条例 art 30 (受限开放: storage, processing and protection ability, no bad credit record, 安全承诺书, 开放利用协议),
//! 浙江省公共数据开放与安全管理暂行办法 art 20–23.

pub mod application;
pub mod credit;
pub mod paper;
pub mod report;

pub use self::application::{
    UseAnswer, UseApplication, UseDeed, UseEntry, UseEvent, UseFile, UseNew, UseReview, UseSide,
    UseState,
};
pub use self::credit::{CreditNew, CreditRecord};
pub use self::paper::{
    PaperKind, PaperSigner, PaperStatement, SignWay, SigningAlgorithm, SigningKey, UsePaper,
    UseSignature,
};
pub use self::report::{UseMetered, UseReport, UseReportNew, UseReportState, UseTerms};
