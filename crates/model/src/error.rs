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

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $kind:ident, $zh:literal, $en:literal;)*) => {
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
        }
    };
}

codes! {
    InvalidInput = "invalid_input", Invalid, "输入不符合要求", "the input is not acceptable";
    InvalidQuery = "invalid_query", Invalid, "查询条件有误", "the query is not acceptable";
    InvalidFile = "invalid_file", Invalid, "文件无法读取", "the file cannot be read";
    RuleBroken = "rule_broken", Invalid, "违反编目或业务规则", "a rule of the catalogue or the business is broken";
    UnsupportedFormat = "unsupported_format", Invalid, "不支持的格式", "the format is not supported";
    SignInRequired = "sign_in_required", Unauthenticated, "请先登录", "sign in first";
    WrongCredentials = "wrong_credentials", Unauthenticated, "用户名或密码不正确", "the user name or password is wrong";
    LockedOut = "locked_out", Exhausted, "尝试次数过多，请稍后再试", "too many attempts, try again later";
    SignatureMissing = "signature_missing", Unauthenticated, "缺少签名", "the signature headers are missing";
    SignatureMismatch = "signature_mismatch", Unauthenticated, "签名不正确", "the signature does not match";
    TimestampOutOfWindow = "timestamp_out_of_window", Unauthenticated, "时间戳超出允许范围", "the time stamp is outside the window";
    Replayed = "replayed", Unauthenticated, "请求被重放", "the request was seen before";
    CsrfFailed = "csrf_failed", Denied, "页面已过期，请刷新后重试", "the page has expired, reload and try again";
    Denied = "denied", Denied, "无权进行此操作", "you may not do this";
    NoGrant = "no_grant", Denied, "没有有效的授权", "there is no valid grant";
    GrantExpired = "grant_expired", Denied, "授权已到期或已撤销", "the grant has expired or was revoked";
    ColumnNotGranted = "column_not_granted", Denied, "数据项不在授权范围内", "the data item is not granted";
    NotFound = "not_found", NotFound, "没有找到", "not found";
    NotAcceptable = "not_acceptable", Invalid, "不支持请求的返回格式", "the requested answer format is not offered";
    Duplicate = "duplicate", Conflict, "已存在相同的记录", "the same record exists already";
    WrongState = "wrong_state", Conflict, "当前状态不允许此操作", "the present state does not allow this";
    Stale = "stale", Conflict, "内容已被他人修改", "someone else has changed it meanwhile";
    TooLarge = "too_large", TooLarge, "内容过大", "the content is too large";
    QuotaUsedUp = "quota_used_up", Exhausted, "调用配额已用完", "the quota is used up";
    RateLimited = "rate_limited", Exhausted, "请求过于频繁", "too many requests";
    StoreUnavailable = "store_unavailable", Unavailable, "存储暂不可用", "the store is not available now";
    SourceUnavailable = "source_unavailable", Unavailable, "数据来源暂不可用", "the data source is not available now";
    AuditUnavailable = "audit_unavailable", Unavailable, "审计记录无法写入，数据未提供", "the audit record cannot be written, nothing was released";
    Internal = "internal", Internal, "系统内部错误", "an internal error";
}

/// One field of the input that must be mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Which field, as the caller named it (`items[2].data_type`, `第 3 行 标识符`).
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
    /// The HTTP status of this kind.
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
