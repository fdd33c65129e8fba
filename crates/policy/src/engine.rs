//! Decisions by Cedar.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use model::{Code, Error, Op, Result};

use crate::cedar::{Book, DEFAULT_DENY, Outcome, Release};
use crate::halt::Halts;
use crate::listing::{MaskRule, RuleFile};
use crate::rules::{Limits, Masks};
use crate::{Action, Permit, Target};

/// The files of a rule folder, with their shipped text.
const FILES: [(&str, &str); 4] = [
    ("policies.cedar", include_str!("../rules/policies.cedar")),
    ("schema.cedarschema", include_str!("../rules/schema.cedarschema")),
    ("masks.toml", include_str!("../rules/masks.toml")),
    ("limits.toml", include_str!("../rules/limits.toml")),
];

/// The policy engine with its rule files. Cheap to clone; all methods may be called from many tasks in parallel.
#[derive(Clone, Debug)]
pub struct Policy {
    inner: Arc<Inner>,
    /// Emergency stops in force: of this engine and its clones.
    pub(crate) halts: Arc<Halts>,
}

#[derive(Debug)]
struct Inner {
    book: Book,
    masks: Masks,
    limits: Limits,
    version: u64,
    files: Vec<RuleFile>,
}

/// A decision with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    /// Ids of the policies that decided; `default-deny` when none permitted.
    pub reasons: Vec<String>,
}

impl Policy {
    /// The shipped rules. They are parsed once in the life of the process.
    pub fn shipped() -> Result<Self> {
        static SHIPPED: OnceLock<Policy> = OnceLock::new();
        // The rules are shared, the stops are each engine's own.
        let own = |policy: &Policy| Policy { halts: Arc::default(), ..policy.clone() };
        if let Some(policy) = SHIPPED.get() {
            return Ok(own(policy));
        }
        let files = FILES.iter().map(|(name, text)| RuleFile::of(name, text, None)).collect();
        let policy = Self::of(FILES.map(|(_, text)| text.to_owned()), files)?;
        Ok(own(SHIPPED.get_or_init(|| policy)))
    }

    /// Rules from a folder: `policies.cedar`, `schema.cedarschema`, `masks.toml`, `limits.toml`. A file that is not
    /// there is taken as shipped; one that cannot be used is an error that names file, place and fault.
    pub fn load(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            return Err(Error::invalid(
                format!("规则目录 `{}` 不存在或不是目录", dir.display()),
                format!("the rule folder `{}` does not exist or is not a folder", dir.display()),
            ));
        }
        let mut texts: [String; 4] = Default::default();
        let mut files = Vec::new();
        for (text, (name, shipped)) in texts.iter_mut().zip(FILES) {
            let path = dir.join(name);
            *text = match std::fs::read_to_string(&path) {
                Ok(found) => {
                    files.push(RuleFile::of(name, &found, Some(&path)));
                    found
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    files.push(RuleFile::of(name, shipped, None));
                    shipped.to_owned()
                }
                Err(e) => {
                    return Err(Error::invalid(
                        format!("规则文件 `{}` 无法读取：{e}", path.display()),
                        format!("the rule file `{}` cannot be read: {e}", path.display()),
                    ));
                }
            };
        }
        Self::of(texts, files)
    }

    fn of(texts: [String; 4], files: Vec<RuleFile>) -> Result<Self> {
        let version = fingerprint(&texts);
        let [policies, schema, masks, limits] = texts;
        Ok(Self {
            inner: Arc::new(Inner {
                book: Book::read(&policies, &schema)?,
                masks: Masks::read(&masks)?,
                limits: Limits::read(&limits)?,
                version,
                files,
            }),
            halts: Arc::default(),
        })
    }

    /// Fingerprint of the rule texts and of the emergency stops in force: grants kept by callers are good only with the
    /// version they were made by.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.inner.version.wrapping_add(self.halt_turns())
    }

    /// The rule files as they were read.
    #[must_use]
    pub fn files(&self) -> &[RuleFile] {
        &self.inner.files
    }

    /// Every masking rule in its order, and whether it is in effect on a day.
    #[must_use]
    pub fn mask_rules(&self, today: chrono::NaiveDate) -> Vec<MaskRule> {
        self.inner.masks.listed(today)
    }

    /// Decides without making a proof (for showing or hiding a button, and for the matrix). `rows.*` are decided as
    /// open data; [`Policy::grant`] knows the other ways.
    #[must_use]
    pub fn decide(&self, op: &Op, action: Action, target: &Target) -> Decision {
        self.ask(op, action, target, &Release { via: "open", ..Release::default() }).into()
    }

    /// Decides, and proves it. A refusal names the rule and who may.
    pub fn permit(&self, op: &Op, action: Action, target: &Target) -> Result<Permit> {
        let outcome = self.ask(op, action, target, &Release { via: "open", ..Release::default() });
        if outcome.allowed {
            return Ok(Permit::new(op, action, &target.id));
        }
        Err(self.refusal(action, outcome, Code::Denied))
    }

    pub(crate) fn ask(
        &self,
        op: &Op,
        action: Action,
        target: &Target,
        release: &Release<'_>,
    ) -> Outcome {
        let release = action.is_release().then_some(release);
        self.inner.book.ask(op, action, target, release)
    }

    pub(crate) fn masks(&self) -> &Masks {
        &self.inner.masks
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// *answer with reasons*: the rule that forbids, or those that would have permitted.
    pub(crate) fn refusal(&self, action: Action, outcome: Outcome, default: Code) -> Error {
        let word = action.as_str();
        if let Some(first) = outcome.rules.first() {
            let error = Error::new(
                first.code,
                format!("不能执行 `{word}`：{}", first.zh),
                format!("`{word}` is refused: {}", first.en),
            );
            return error.with_reasons(outcome.rules.into_iter().map(|r| r.id).collect());
        }
        let rules: Vec<_> = self.inner.book.permitting(action).collect();
        let zh = rules.iter().map(|r| r.zh.as_str()).collect::<Vec<_>>().join("；");
        let en = rules.iter().map(|r| r.en.as_str()).collect::<Vec<_>>().join("; ");
        Error::new(
            default,
            format!("无权执行 `{word}`。规则允许的情形：{zh}"),
            format!("you may not do `{word}`. The rules permit it when: {en}"),
        )
        .with_reasons(vec![DEFAULT_DENY.to_owned()])
    }
}

impl From<Outcome> for Decision {
    fn from(outcome: Outcome) -> Self {
        let mut reasons: Vec<String> = outcome.rules.into_iter().map(|r| r.id).collect();
        if reasons.is_empty() {
            reasons.push(DEFAULT_DENY.to_owned());
        }
        Self { allowed: outcome.allowed, reasons }
    }
}

/// FNV-1a over the texts: tells rule sets apart, protects nothing.
fn fingerprint(texts: &[String]) -> u64 {
    texts.iter().flat_map(|t| t.bytes().chain([0])).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
