//! Our words as Cedar's: who acts, what on, and the rule text parsed, checked and sorted by action.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;

use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision as Verdict, Effect, Entities, Entity, EntityId,
    EntityTypeName, EntityUid, PolicyId, PolicySet, Request, RestrictedExpression, Schema,
    ValidationMode, Validator,
};
use model::{Actor, Code, Error, Op, Result, region};

use crate::{Action, Target};

/// Reason given when no rule permits.
pub(crate) const DEFAULT_DENY: &str = "default-deny";

/// Bytes of stack under which more is lent, and how many.
const STACK_LEAST: usize = 512 * 1024;
const STACK_LENT: usize = 2 * 1024 * 1024;

const KINDS: [&str; 30] = [
    "Entry",
    "Request",
    "Approval",
    "Flow",
    "Application",
    "User",
    "Org",
    "Audit",
    "System",
    "Asset",
    "Proposal",
    "Quota",
    "Reclaim",
    "Notice",
    "Report",
    "Outflow",
    "Delivery",
    "Interface",
    "Project",
    "Ticket",
    "Comment",
    "Showcase",
    "Sandbox",
    "Restricted",
    "Credit",
    "Authorisation",
    "Plan",
    "Contest",
    "News",
    "Harvest",
];

/// What a rule says of itself in its annotations.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) zh: String,
    pub(crate) en: String,
    /// Public error code of a refusal by it.
    pub(crate) code: Code,
    permits: bool,
}

/// The rules that concern one action, in the order of the file.
#[derive(Debug)]
struct Section {
    uid: EntityUid,
    set: PolicySet,
    rules: Vec<Rule>,
}

/// Entity type names, parsed once.
#[derive(Debug)]
struct Types {
    user: EntityTypeName,
    application: EntityTypeName,
    nobody: EntityTypeName,
    system: EntityTypeName,
    role: EntityTypeName,
    region: EntityTypeName,
    things: Vec<(&'static str, EntityTypeName)>,
}

/// Parsed and validated rules.
#[derive(Debug)]
pub(crate) struct Book {
    types: Types,
    sections: HashMap<Action, Section>,
    authorizer: Authorizer,
}

/// What was decided, and by which rules.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) allowed: bool,
    /// Rules that decided; empty when nothing permitted.
    pub(crate) rules: Vec<Rule>,
}

/// How rows are asked for: the context of `rows.*`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Release<'a> {
    pub(crate) via: &'static str,
    pub(crate) application: Option<&'a str>,
    pub(crate) entry: Option<&'a str>,
    pub(crate) state: Option<&'a str>,
    /// `share` or `open`
    pub(crate) way: Option<&'a str>,
    pub(crate) expired: bool,
    /// SQL was agreed, not the interface alone.
    pub(crate) sql: bool,
}

impl Book {
    /// Parses policies and schema, validates the one by the other, and checks that every action is known.
    pub(crate) fn read(policies: &str, schema: &str) -> Result<Self> {
        let (schema, _) =
            Schema::from_cedarschema_str(schema).map_err(|e| broken("schema.cedarschema", &e))?;
        let known: HashSet<String> =
            schema.actions().map(|a| a.id().unescaped().to_owned()).collect();
        if let Some(missing) = Action::ALL.iter().find(|a| !known.contains(a.as_str())) {
            let what = format!("action `{}` is missing", missing.as_str());
            return Err(broken("schema.cedarschema", &what));
        }
        let parsed: PolicySet = policies.parse().map_err(|e| broken("policies.cedar", &e))?;
        let set = named(&parsed)?;
        let verdict = Validator::new(schema).validate(&set, ValidationMode::Strict);
        if let Some(first) = verdict.validation_errors().next() {
            return Err(broken("policies.cedar", first));
        }
        let order: HashMap<PolicyId, usize> = in_file_order(&parsed)
            .enumerate()
            .filter_map(|(n, p)| Some((PolicyId::new(annotation(p, "id")?), n)))
            .collect();
        let name: EntityTypeName =
            "Action".parse().map_err(|e| Error::internal("entity type `Action`").caused_by(e))?;
        let sections = Action::ALL
            .iter()
            .map(|action| Ok((*action, section(uid(&name, action.as_str()), &set, &order)?)))
            .collect::<Result<_>>()?;
        Ok(Self { types: Types::new()?, sections, authorizer: Authorizer::new() })
    }

    /// Asks Cedar. Whatever cannot even be asked (an unknown kind of thing) is denied.
    pub(crate) fn ask(
        &self,
        op: &Op,
        action: Action,
        target: &Target,
        release: Option<&Release<'_>>,
    ) -> Outcome {
        self.try_ask(op, action, target, release)
            .unwrap_or(Outcome { allowed: false, rules: Vec::new() })
    }

    fn try_ask(
        &self,
        op: &Op,
        action: Action,
        target: &Target,
        release: Option<&Release<'_>>,
    ) -> Option<Outcome> {
        let section = self.sections.get(&action)?;
        let principal = self.types.principal(&op.actor)?;
        let resource = self.types.thing(target)?;
        let context = match release {
            Some(release) => release.context()?,
            None => Context::empty(),
        };
        let request =
            Request::new(principal.uid(), section.uid.clone(), resource.uid(), context, None)
                .ok()?;
        let entities = Entities::from_entities([principal, resource], None).ok()?;
        // Cedar refuses where it has little stack left, and that would read as a decision: deep callers lend it more.
        let response = stacker::maybe_grow(STACK_LEAST, STACK_LENT, || {
            self.authorizer.is_authorized(&request, &section.set, &entities)
        });
        // A rule that fails to evaluate must not be skipped silently: a `forbid` might be lost.
        if response.diagnostics().errors().next().is_some() {
            return None;
        }
        let decided: HashSet<&str> =
            response.diagnostics().reason().map(AsRef::<str>::as_ref).collect();
        let rules = section.rules.iter().filter(|r| decided.contains(r.id.as_str()));
        Some(Outcome {
            allowed: response.decision() == Verdict::Allow,
            rules: rules.cloned().collect(),
        })
    }

    /// Rules that could permit the action, for telling who may.
    pub(crate) fn permitting(&self, action: Action) -> impl Iterator<Item = &Rule> {
        self.sections.get(&action).into_iter().flat_map(|s| s.rules.iter().filter(|r| r.permits))
    }
}

impl Types {
    fn new() -> Result<Self> {
        let name = |text: &str| {
            text.parse::<EntityTypeName>()
                .map_err(|e| Error::internal(format!("entity type `{text}`")).caused_by(e))
        };
        Ok(Self {
            user: name("Who::User")?,
            application: name("Who::Application")?,
            nobody: name("Who::Nobody")?,
            system: name("Who::System")?,
            role: name("Role")?,
            region: name("Region")?,
            things: KINDS
                .into_iter()
                .map(|kind| Ok((kind, name(&format!("Thing::{kind}"))?)))
                .collect::<Result<_>>()?,
        })
    }

    fn principal(&self, actor: &Actor) -> Option<Entity> {
        match actor {
            Actor::Nobody => Some(Entity::with_uid(uid(&self.nobody, "nobody"))),
            Actor::System => Some(Entity::with_uid(uid(&self.system, "system"))),
            Actor::User { id, org, region, roles, .. } => {
                let mut attributes = vec![("id", text(id))];
                if let Some(org) = org {
                    attributes.push(("org", text(org)));
                }
                if let Some(region) = region {
                    let region = uid(&self.region, region);
                    attributes.push(("region", RestrictedExpression::new_entity_uid(region)));
                }
                let roles = roles.iter().map(|r| uid(&self.role, r.as_str()));
                entity(uid(&self.user, id), attributes, roles)
            }
            Actor::Application { id, key, org, public_body, .. } => {
                let mut attributes = vec![
                    ("id", text(id)),
                    ("key", text(key)),
                    ("public_body", RestrictedExpression::new_bool(*public_body)),
                ];
                if !org.is_empty() {
                    attributes.push(("org", text(org)));
                }
                entity(uid(&self.application, id), attributes, [])
            }
        }
    }

    fn thing(&self, target: &Target) -> Option<Entity> {
        let (_, name) = self.things.iter().find(|(kind, _)| *kind == target.kind)?;
        let mut attributes =
            vec![("id", text(&target.id)), ("live", RestrictedExpression::new_bool(target.live))];
        for (name, value) in [
            ("org", &target.org),
            ("applicant_org", &target.applicant_org),
            ("owner", &target.owner),
            ("region", &target.region),
            ("grade", &target.grade),
            ("share_type", &target.share_type),
            ("open_type", &target.open_type),
            ("state", &target.state),
            ("seat_org", &target.seat_org),
            ("seat_user", &target.seat_user),
            ("way", &target.way),
        ] {
            if let Some(value) = value {
                attributes.push((name, text(value)));
            }
        }
        if let Some(role) = target.seat_role {
            let role = RestrictedExpression::new_entity_uid(uid(&self.role, role.as_str()));
            attributes.push(("seat_role", role));
        }
        for (name, people) in [
            ("owners", &target.owners),
            ("developers", &target.developers),
            ("viewers", &target.viewers),
        ] {
            if !people.is_empty() {
                let people = people.iter().map(|p| text(p));
                attributes.push((name, RestrictedExpression::new_set(people)));
            }
        }
        let regions = std::iter::successors(target.region.clone(), |r| region::parent_of(r));
        entity(uid(name, &target.id), attributes, regions.map(|r| uid(&self.region, &r)))
    }
}

impl Release<'_> {
    fn context(&self) -> Option<Context> {
        let mut pairs = vec![
            ("via".to_owned(), text(self.via)),
            ("request_expired".to_owned(), RestrictedExpression::new_bool(self.expired)),
            ("request_sql".to_owned(), RestrictedExpression::new_bool(self.sql)),
        ];
        for (name, value) in [
            ("request_application", self.application),
            ("request_entry", self.entry),
            ("request_state", self.state),
            ("request_way", self.way),
        ] {
            if let Some(value) = value {
                pairs.push((name.to_owned(), text(value)));
            }
        }
        Context::from_pairs(pairs).ok()
    }
}

fn uid(name: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id))
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn entity(
    uid: EntityUid,
    attributes: Vec<(&str, RestrictedExpression)>,
    parents: impl IntoIterator<Item = EntityUid>,
) -> Option<Entity> {
    let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Entity::new(uid, attributes, parents.into_iter().collect()).ok()
}

/// The policies under the ids of their `@id` annotations.
fn named(parsed: &PolicySet) -> Result<PolicySet> {
    if parsed.num_of_templates() > 0 {
        return Err(broken("policies.cedar", &"templates (`?principal`) are not used here"));
    }
    let mut set = PolicySet::new();
    for policy in in_file_order(parsed) {
        let id = annotation(policy, "id").unwrap_or_default();
        if id.is_empty() || id == DEFAULT_DENY {
            let what = format!("a policy has no `@id(\"…\")`: {policy}");
            return Err(broken("policies.cedar", &what));
        }
        set.add(policy.new_id(PolicyId::new(id)))
            .map_err(|_| broken("policies.cedar", &format!("two policies have the id `{id}`")))?;
    }
    Ok(set)
}

/// Cedar numbers parsed policies `policy0`, `policy1`, … in the order of the text.
fn in_file_order(parsed: &PolicySet) -> impl Iterator<Item = &cedar_policy::Policy> {
    let mut all: Vec<_> = parsed.policies().collect();
    all.sort_by_key(|p| {
        let id: &str = p.id().as_ref();
        id.strip_prefix("policy").and_then(|n| n.parse::<usize>().ok()).unwrap_or(usize::MAX)
    });
    all.into_iter()
}

/// The part of the rules that names the action `uid` (or any action). Asking only these gives the same decision faster.
fn section(uid: EntityUid, set: &PolicySet, order: &HashMap<PolicyId, usize>) -> Result<Section> {
    let mut own: Vec<&cedar_policy::Policy> = set
        .policies()
        .filter(|p| match p.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(one) => one == uid,
            ActionConstraint::In(several) => several.contains(&uid),
        })
        .collect();
    own.sort_by_key(|p| order.get(p.id()).copied().unwrap_or(usize::MAX));
    let rules = own.iter().map(|p| rule(p)).collect::<Result<_>>()?;
    let set = PolicySet::from_policies(own.into_iter().cloned())
        .map_err(|e| broken("policies.cedar", &e))?;
    Ok(Section { uid, set, rules })
}

/// What a policy says of itself. Cedar's own way to ask parses the name with a parser that it makes for it each time.
fn annotation<'p>(policy: &'p cedar_policy::Policy, name: &str) -> Option<&'p str> {
    policy.annotations().find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn rule(policy: &cedar_policy::Policy) -> Result<Rule> {
    let id = AsRef::<str>::as_ref(policy.id()).to_owned();
    let said = |name: &str| annotation(policy, name).unwrap_or(&id).to_owned();
    let code = match annotation(policy, "code") {
        None => Code::Denied,
        Some(word) => Code::ALL.iter().copied().find(|c| c.as_str() == word).ok_or_else(|| {
            broken("policies.cedar", &format!("policy `{id}`: no error code `{word}`"))
        })?,
    };
    Ok(Rule {
        zh: said("zh"),
        en: said("en"),
        code,
        permits: policy.effect() == Effect::Permit,
        id,
    })
}

/// A rule file that cannot be used: what, where, and how to mend it.
pub(crate) fn broken(file: &str, why: &dyn Display) -> Error {
    Error::invalid(
        format!("规则文件 `{file}` 有误，请改正后重试：{why}"),
        format!("the rule file `{file}` cannot be used, mend it and try again: {why}"),
    )
}
