//! Emergency stops (紧急停用): an application, a resource or an interface out of which nothing may go until the stop is lifted.

use serde::{Deserialize, Serialize};

use crate::code::code_list;
use crate::op::civil;
use crate::{Code, Error};

code_list! {
    /// What is stopped.
    HaltKind {
        Application = "application", "应用", "Application";
        Entry = "entry", "数据资源", "Resource";
        Interface = "interface", "接口", "Interface";
    }
}

/// One stop, in force until it is lifted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    pub id: String,
    /// Word of a [`HaltKind`].
    pub kind: String,
    /// Id of the application or entry, code of the interface.
    pub holder: String,
    /// What people know it by: the application's access key, the entry's or interface's code.
    pub code: String,
    pub title: String,
    pub reason: String,
    /// RFC 3339.
    pub at: String,
    pub by_name: String,
    /// `None`: in force.
    pub lifted_at: Option<String>,
    pub lifted_by: String,
    pub lift_reason: String,
}

impl Halt {
    #[must_use]
    pub fn in_force(&self) -> bool {
        self.lifted_at.is_none()
    }

    /// What a caller is told. The reason is for those inside.
    #[must_use]
    pub fn refusal(&self) -> Error {
        let kind = HaltKind::parse(&self.kind).unwrap_or(HaltKind::Entry);
        let (zh, en) = match kind {
            HaltKind::Application => ("本应用", "this application"),
            HaltKind::Entry => ("该数据资源", "this resource"),
            HaltKind::Interface => ("该接口", "this interface"),
        };
        // As offices read it, not as it is kept.
        let since = civil(&self.at, "%Y-%m-%d %H:%M:%S");
        Error::new(
            Code::Halted,
            format!(
                "{zh}自 {since}（北京时间）起被紧急停用，解除前任何方式都不提供数据；由安全管理员或公共数据主管部门解除，请与其联系（停用编号 {}）",
                self.id
            ),
            format!(
                "{en} is under an emergency stop since {since} (UTC+8): nothing leaves by any way until the security officer or the public-data \
                 authority lifts it; ask them (stop {})",
                self.id
            ),
        )
        .with_reasons(vec![format!("halt.{}", kind.as_str())])
    }
}
