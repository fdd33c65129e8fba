//! One error for every floor: a closed set of kinds, one table of stable public codes, and two voices
//! (what the caller may read, what the operator may read).

use std::fmt;

use serde::Serialize;

/// What went wrong, in the few kinds a door must tell apart. Each has one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The request is malformed or breaks a rule: the caller can mend it.
    Invalid,
    /// Nobody is signed in, or the signature is wrong.
    Unauthenticated,
    /// Known caller, refused by policy.
    Denied,
    /// It does not exist, or the caller may not know that it does.
    NotFound,
    /// It clashes with what is there (duplicate, wrong state, newer version).
    Conflict,
    /// The input is larger than allowed.
    TooLarge,
    /// A quota or rate limit is used up.
    Exhausted,
    /// A store, lake or source cannot be reached now; trying later may help.
    Unavailable,
    /// A defect of ours.
    Internal,
}

impl Kind {
    /// A failure of ours, not of what was asked: it does not count against a caller.
    #[must_use]
    pub fn ours(self) -> bool {
        matches!(self, Kind::Unavailable | Kind::Internal)
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $kind:ident, $zh:literal, $en:literal, help $help_zh:literal, $help_en:literal;)*) => {
        /// A stable public error code. The table below is the single place that names them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name),* }

        impl Code {
            /// Every code, for the error table of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];
            /// The word that callers see and may rely on.
            #[must_use] pub fn as_str(self) -> &'static str { match self { $(Code::$name => $text),* } }
            /// The kind, which decides the status.
            #[must_use] pub fn kind(self) -> Kind { match self { $(Code::$name => Kind::$kind),* } }
            /// General meaning in Chinese.
            #[must_use] pub fn zh(self) -> &'static str { match self { $(Code::$name => $zh),* } }
            /// General meaning in English.
            #[must_use] pub fn en(self) -> &'static str { match self { $(Code::$name => $en),* } }
            /// What the caller can do about it, in Chinese.
            #[must_use] pub fn help_zh(self) -> &'static str { match self { $(Code::$name => $help_zh),* } }
            /// What the caller can do about it, in English.
            #[must_use] pub fn help_en(self) -> &'static str { match self { $(Code::$name => $help_en),* } }
        }
    };
}

codes! {
    InvalidInput = "invalid_input", Invalid, "输入不符合要求", "the input is not acceptable",
        help "按 details 所列逐项修改后重新提交", "mend what `details` names and send it again";
    InvalidQuery = "invalid_query", Invalid, "查询条件有误", "the query is not acceptable",
        help "按提示修改参数；可用的参数与运算符见 /openapi.json", "mend the parameter; /openapi.json lists the parameters and operators";
    InvalidFile = "invalid_file", Invalid, "文件无法读取", "the file cannot be read",
        help "检查文件是否完整、编码与格式是否正确后重新上传", "check that the file is whole and its encoding and format are right, then send it again";
    RuleBroken = "rule_broken", Invalid, "违反编目或业务规则", "a rule of the catalogue or the business is broken",
        help "按所列规则修改后重新提交", "change what breaks the named rule and send it again";
    UnsupportedFormat = "unsupported_format", Invalid, "不支持的格式", "the format is not supported",
        help "改用所列的格式", "use one of the formats offered";
    SignInRequired = "sign_in_required", Unauthenticated, "请先登录", "sign in first",
        help "登录后再试", "sign in and try again";
    WrongCredentials = "wrong_credentials", Unauthenticated, "用户名或密码不正确", "the user name or password is wrong",
        help "核对用户名与密码；忘记密码请联系本单位管理员", "check name and password; ask your administrator when it is forgotten";
    LockedOut = "locked_out", Exhausted, "尝试次数过多，请稍后再试", "too many attempts, try again later",
        help "等待提示的时间后再试，或联系管理员", "wait as long as is told, or ask an administrator";
    SignatureMissing = "signature_missing", Unauthenticated, "缺少签名", "the signature headers are missing",
        help "按 /openapi.json 的说明补全 X-Qt-* 请求头", "add the X-Qt-* headers that /openapi.json describes";
    SignatureMismatch = "signature_mismatch", Unauthenticated, "签名不正确", "the signature does not match",
        help "核对访问键、密钥、算法与待签名文本（方法、路径、查询串、正文摘要、时间戳、随机串）", "check key, secret, algorithm and the text that is signed (method, path, query, body hash, time stamp, nonce)";
    TimestampOutOfWindow = "timestamp_out_of_window", Unauthenticated, "时间戳超出允许范围", "the time stamp is outside the window",
        help "校准本机时钟，用当前时间重新签名", "set the clock and sign anew with the present time";
    SecretExpired = "secret_expired", Unauthenticated, "请求密钥不在有效期", "the secret or token is past its end",
        help "重新取得密钥或令牌后再调用", "fetch a new secret or token, then call again";
    Replayed = "replayed", Unauthenticated, "请求被重放", "the request was seen before",
        help "每次调用使用新的随机串重新签名", "sign every call anew with a nonce never used before";
    CsrfFailed = "csrf_failed", Denied, "页面已过期，请刷新后重试", "the page has expired, reload and try again",
        help "刷新页面后重新提交", "reload the page and send it again";
    Denied = "denied", Denied, "无权进行此操作", "you may not do this",
        help "如确需办理，请联系本单位管理员或公共数据主管部门", "ask your administrator or the public-data authority if you need this for your work";
    NoGrant = "no_grant", Denied, "没有有效的授权", "there is no valid grant",
        help "在共享平台对该资源提出申请，审核通过后再调用", "apply for the resource on the platform and call again once it is approved";
    GrantExpired = "grant_expired", Denied, "授权已到期或已撤销", "the grant has expired or was revoked",
        help "在共享平台重新申请或续期", "apply anew, or for a longer period, on the platform";
    OutOfBounds = "out_of_bounds", Denied, "调用不符合所设的约束", "the call is outside the bounds that were set",
        help "按提示的时段、地址或方式调用；约束由数据提供单位或安全管理员设定", "call at the hours, from the addresses or in the way that is told; the provider or the security officer sets the bounds";
    PurposeMissing = "purpose_missing", Invalid, "缺少调用目的", "the purpose of the call is missing",
        help "在请求头 X-Qt-Purpose 中写明调用目的（百分号编码的 UTF-8）；Delta Sharing 在生成令牌时写明", "say what the call is for in the header X-Qt-Purpose (UTF-8, percent-encoded); with Delta Sharing make the token with a purpose";
    Halted = "halted", Denied, "已被紧急停用", "under an emergency stop",
        help "与安全管理员或公共数据主管部门联系，解除后即可调用", "ask the security officer or the public-data authority; calls go on once the stop is lifted";
    ColumnNotGranted = "column_not_granted", Denied, "数据项不在授权范围内", "the data item is not granted",
        help "去掉该数据项，或在共享申请中增加它", "leave the item out, or apply for it";
    NotFound = "not_found", NotFound, "没有找到", "not found",
        help "检查网址与代码；它也可能已下线，或不对调用者开放", "check address and code; it may be offline, or not open to the caller";
    NotAcceptable = "not_acceptable", Invalid, "不支持请求的返回格式", "the requested answer format is not offered",
        help "把 Accept 改为所列格式之一", "ask for one of the offered formats in `Accept`";
    MethodNotAllowed = "method_not_allowed", Invalid, "不支持此请求方法", "the method is not offered here",
        help "改用响应头 Allow 所列的方法", "use one of the methods in the header `Allow`";
    QueryTooSlow = "query_too_slow", Invalid, "查询耗时过长，已中止", "the query took too long and was stopped",
        help "用业务主键或查询项缩小条件，减小 limit，不要求精确总数", "narrow the filter by a key or look-up item, lower `limit`, do not ask for an exact count";
    Duplicate = "duplicate", Conflict, "已存在相同的记录", "the same record exists already",
        help "改用已有的记录，或换一个名称", "use the record that exists, or choose another name";
    WrongState = "wrong_state", Conflict, "当前状态不允许此操作", "the present state does not allow this",
        help "刷新查看当前状态后再操作", "look at the present state, then act again";
    Stale = "stale", Conflict, "内容已被他人修改", "someone else has changed it meanwhile",
        help "取最新内容后重做；翻页请从第一页开始", "fetch the newest and do it again; pages start again from the first";
    TooLarge = "too_large", TooLarge, "内容过大", "the content is too large",
        help "减小内容，或分批办理", "make it smaller, or send it in parts";
    QuotaUsedUp = "quota_used_up", Exhausted, "调用配额已用完", "the quota is used up",
        help "等到 Retry-After 所示时间后再试，或申请更多配额", "wait as long as `Retry-After` says, or apply for a larger quota";
    RateLimited = "rate_limited", Exhausted, "请求过于频繁", "too many requests",
        help "放慢调用，等 Retry-After 所示秒数后再试", "call less often and wait as long as `Retry-After` says";
    StoreUnavailable = "store_unavailable", Unavailable, "存储暂不可用", "the store is not available now",
        help "稍后再试；如持续出现，请把请求编号告诉管理员", "try again later; if it lasts, tell the administrator the request id";
    SourceUnavailable = "source_unavailable", Unavailable, "数据来源暂不可用", "the data source is not available now",
        help "等 Retry-After 所示秒数后再试；如持续出现，请把请求编号告诉数据提供单位，由其检查来源的地址、账号与网络", "wait as long as `Retry-After` says, then try again; if it lasts, tell the provider the request id: it checks the source's address, account and network";
    AuditUnavailable = "audit_unavailable", Unavailable, "审计记录无法写入，数据未提供", "the audit record cannot be written, nothing was released",
        help "稍后再试；如持续出现，请把请求编号告诉管理员", "try again later; if it lasts, tell the administrator the request id";
    Internal = "internal", Internal, "系统内部错误", "an internal error",
        help "把请求编号告诉管理员", "tell the administrator the request id";
}

impl Code {
    /// The HTTP status of an answer with this code: its kind's, but for the two that HTTP gives a number of their own.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Code::NotAcceptable => 406,
            Code::MethodNotAllowed => 405,
            other => other.kind().status(),
        }
    }
}

/// One field of the input that must be mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Which field, as the caller named it (`items[2].data_type`); of a file with a table its row and heading (`rows[3].标识符`), or the heading
    /// (`headings.颜色`).
    pub field: String,
    /// What is wrong and how to mend it, in Chinese.
    pub zh: String,
    /// The same in English.
    pub en: String,
}

/// The error of every room and engine.
pub struct Error(Box<Inner>);

struct Inner {
    code: Code,
    zh: String,
    en: String,
    fields: Vec<FieldError>,
    reasons: Vec<String>,
    after: Option<u64>,
    detail: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Result with our [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with its particular message in both languages; say what, where and how to mend it.
    pub fn new(code: Code, zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            zh: zh.into(),
            en: en.into(),
            fields: Vec::new(),
            reasons: Vec::new(),
            after: None,
            detail: None,
            source: None,
        }))
    }

    /// An error with the code's general message.
    #[must_use]
    pub fn of(code: Code) -> Self {
        Self::new(code, code.zh(), code.en())
    }

    /// `InvalidInput` with a message.
    pub fn invalid(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self::new(Code::InvalidInput, zh, en)
    }

    /// `NotFound` for a named thing.
    pub fn not_found(zh_what: &str, en_what: &str, id: &str) -> Self {
        Self::new(
            Code::NotFound,
            format!("没有找到{zh_what} `{id}`"),
            format!("{en_what} `{id}` was not found"),
        )
    }

    /// A defect or an unexpected failure: the caller reads a general sentence, the operator the detail.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::of(Code::Internal).detail(detail)
    }

    /// Adds what only the operator may read.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Keeps the cause (for the operator's log only).
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds a field to mend.
    #[must_use]
    pub fn field(
        mut self,
        field: impl Into<String>,
        zh: impl Into<String>,
        en: impl Into<String>,
    ) -> Self {
        self.0.fields.push(FieldError { field: field.into(), zh: zh.into(), en: en.into() });
        self
    }

    /// Sets all fields to mend at once.
    #[must_use]
    pub fn with_fields(mut self, fields: Vec<FieldError>) -> Self {
        self.0.fields = fields;
        self
    }

    /// The same, to be told once more: without what only the operator may read.
    #[must_use]
    pub fn again(&self) -> Self {
        let mut told = Self::new(self.code(), self.zh(), self.en())
            .with_fields(self.fields().to_vec())
            .with_reasons(self.reasons().to_vec());
        told.0.after = self.0.after;
        told
    }

    /// Says after how many seconds the same may succeed, where that is known.
    #[must_use]
    pub fn after(mut self, seconds: u64) -> Self {
        self.0.after = Some(seconds);
        self
    }

    /// Adds the rules that decided (policy ids), for *answer with reasons*.
    #[must_use]
    pub fn with_reasons(mut self, reasons: Vec<String>) -> Self {
        self.0.reasons = reasons;
        self
    }

    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.code.kind()
    }
    #[must_use]
    pub fn zh(&self) -> &str {
        &self.0.zh
    }
    #[must_use]
    pub fn en(&self) -> &str {
        &self.0.en
    }
    #[must_use]
    pub fn fields(&self) -> &[FieldError] {
        &self.0.fields
    }
    /// Seconds after which the same may succeed, where that is known.
    #[must_use]
    pub fn seconds(&self) -> Option<u64> {
        self.0.after
    }
    #[must_use]
    pub fn reasons(&self) -> &[String] {
        &self.0.reasons
    }

    /// The operator's voice: everything known, for the log.
    #[must_use]
    pub fn operator_text(&self) -> String {
        let mut text = format!("{}: {}", self.0.code.as_str(), self.0.en);
        if let Some(detail) = &self.0.detail {
            text.push_str(" | ");
            text.push_str(detail);
        }
        let mut source: Option<&dyn std::error::Error> =
            self.0.source.as_deref().map(|s| s as &dyn std::error::Error);
        while let Some(cause) = source {
            text.push_str(" <- ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}

impl Kind {
    /// The HTTP status of this kind. A code may have its own: ask [`Code::status`] for the status of an answer.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Kind::Invalid => 400,
            Kind::Unauthenticated => 401,
            Kind::Denied => 403,
            Kind::NotFound => 404,
            Kind::Conflict => 409,
            Kind::TooLarge => 413,
            Kind::Exhausted => 429,
            Kind::Unavailable => 503,
            Kind::Internal => 500,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.en, self.0.zh)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.operator_text())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|s| s as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_word_of_its_own_and_says_what_to_do() {
        let words: std::collections::BTreeSet<&str> =
            Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            for text in [code.zh(), code.en(), code.help_zh(), code.help_en()] {
                assert!(!text.is_empty(), "{code:?}");
            }
            assert!((400..600).contains(&code.status()), "{code:?}");
        }
        assert_eq!(Code::NotAcceptable.status(), 406);
        assert_eq!(Code::MethodNotAllowed.status(), 405);
        assert_eq!(Code::Replayed.status(), 401);
    }
}
