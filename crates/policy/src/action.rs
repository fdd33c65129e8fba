//! The actions of the house and the things they are done to. The words are also the Cedar action ids.

use model::account::{Application, Role};
use model::entry::Entry;
use model::flow::{Seat, State};
use model::project::ProjectRole;
use model::request::{Request, RequestWay};

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        /// Something a principal may want to do. One row of the permission matrix.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action { $($(#[$doc])* $name),* }
        impl Action {
            pub const ALL: &'static [Action] = &[$(Action::$name),*];
            /// Cedar id and audit word.
            #[must_use] pub fn as_str(self) -> &'static str { match self { $(Action::$name => $word),* } }
        }
    };
}

actions! {
    /// See an entry that is not (or not yet) public.
    EntryRead = "entry.read";
    /// Compile or edit an entry of one's organisation.
    EntryCompile = "entry.compile";
    /// Hand an entry, its going online or offline, or its change, to review.
    EntrySubmit = "entry.submit";
    /// Approve or reject what was handed in.
    EntryReview = "entry.review";
    /// Import whole catalogues.
    EntryImport = "entry.import";
    /// Export whole catalogues with entries that are not public.
    EntryExport = "entry.export";
    /// Collect data into an entry.
    DataCollect = "data.collect";
    /// Look at runs and their progress.
    RunRead = "run.read";
    /// Look at quarantined rows (raw values).
    QuarantineRead = "quarantine.read";
    /// Mend, replay or dismiss quarantined rows.
    QuarantineMend = "quarantine.mend";
    /// Apply for a resource on behalf of an application of one's organisation.
    RequestSubmit = "request.submit";
    /// Read an application and its steps.
    RequestRead = "request.read";
    /// Decide as the providing organisation.
    RequestReviewProvider = "request.review_provider";
    /// Decide as the authority.
    RequestReviewAuthority = "request.review_authority";
    /// Withdraw one's own application.
    RequestUndo = "request.undo";
    /// Revoke what was approved.
    RequestRevoke = "request.revoke";
    /// Put things into one's basket and file what is in it, on behalf of one's organisation.
    BasketFile = "basket.file";
    /// Read an approval, its history and the application it belongs to.
    ApprovalRead = "approval.read";
    /// Answer on a seat of an approval, or hand the seat on.
    ApprovalDecide = "approval.decide";
    /// Withdraw, complete or urge what one's organisation has filed; give feedback, dispute a refusal.
    ApprovalFollow = "approval.follow";
    /// Give one's seats to someone else for days of leave.
    ApprovalLend = "approval.lend";
    /// Publish a version of a flow.
    FlowPublish = "flow.publish";
    /// Register an application (应用) or renew its secret.
    ApplicationManage = "application.manage";
    /// See applications of one's organisation.
    ApplicationRead = "application.read";
    /// Open, change or close accounts.
    UserManage = "user.manage";
    /// See accounts.
    UserRead = "user.read";
    /// Maintain organisations and regions.
    OrgManage = "org.manage";
    /// Read audit records.
    AuditRead = "audit.read";
    /// Export audit records, verify the chain.
    AuditExport = "audit.export";
    /// Look-ups of rows through an interface.
    RowsQuery = "rows.query";
    /// Preview of rows on a page.
    RowsPreview = "rows.preview";
    /// Download of all rows as a file.
    RowsDownload = "rows.download";
    /// Delivery of a region's rows as they change.
    RowsFlow = "rows.flow";
    /// A question about a row that is answered by yes or no (核验).
    RowsVerify = "rows.verify";
    /// See an interface and its description.
    InterfaceRead = "interface.read";
    /// Describe interfaces of one's organisation and lead them through their life.
    InterfaceKeep = "interface.keep";
    /// Switch a calling convention on or off.
    ConventionSet = "convention.set";
    /// Statements over rows by SQL.
    RowsSql = "rows.sql";
    /// Whole tables with their changes, as files or into a database (Delta Sharing, deliveries).
    RowsBatch = "rows.batch";
    /// See outflows (回流): what flows to whom, and how far it is.
    OutflowRead = "outflow.read";
    /// Make, pause, resume or end an outflow into a database of one's organisation; keep such databases.
    OutflowKeep = "outflow.keep";
    /// See deliveries (推送): what goes to whom, how its turns went, their receipts.
    DeliveryRead = "delivery.read";
    /// Make, publish, run, stop or remove a delivery into a database or folder of one's organisation.
    DeliveryKeep = "delivery.keep";
    /// Set bounds of calling: hours, addresses, calls at once, how often one subject is asked about, purpose.
    BoundsSet = "bounds.set";
    /// Stop an application, a resource or an interface at once, and lift such a stop.
    HaltSet = "halt.set";
    /// See what is under an emergency stop, and what was.
    HaltRead = "halt.read";
    /// Change the security rules (masks, grading).
    SecurityManage = "security.manage";
    /// Metrics and health detail.
    SystemRead = "system.read";
    /// See assets of the ledgers (applications, components, cloud resources) and their links.
    AssetRead = "asset.read";
    /// Enter, edit, move, link or merge assets of one's organisation.
    AssetCompile = "asset.compile";
    /// Bring in assets by the file or by calls of an application.
    AssetImport = "asset.import";
    /// Export a whole ledger.
    AssetExport = "asset.export";
    /// Propose an application for the check against the ledger (应用查重).
    ProposalSubmit = "proposal.submit";
    /// See proposals with their matches.
    ProposalRead = "proposal.read";
    /// Decide on a proposal.
    ProposalDecide = "proposal.decide";
    /// See quotas, use, and what lies idle.
    DispatchRead = "dispatch.read";
    /// Set quotas of a region and of what is in it.
    QuotaSet = "quota.set";
    /// Ask for quota of another holder.
    QuotaAsk = "quota.ask";
    /// Propose that something idle is reclaimed.
    ReclaimPropose = "reclaim.propose";
    /// Confirm or object to a proposal over what one's organisation has.
    ReclaimAnswer = "reclaim.answer";
    /// See the recurring jobs of the platform.
    JobRead = "job.read";
    /// Run a recurring job now.
    JobRun = "job.run";
    /// See the dashboard of the whole house.
    ControlRead = "control.read";
    /// Receive and read one's notices, subscribe to searches and things.
    NoticeKeep = "notice.keep";
    /// Draw up forms of one's organisation, publish and issue them, follow who has reported.
    ReportDesign = "report.design";
    /// See a reporting task with its rows and history.
    ReportRead = "report.read";
    /// Fill a task of one's organisation and hand it in.
    ReportFill = "report.fill";
    /// Accept, return or withdraw what the level below has handed in.
    ReportAccept = "report.accept";
    /// See a project of batch sharing: what it has, its members, jobs and results.
    ProjectRead = "project.read";
    /// Work in a project: statements over its granted tables, jobs, asking for exports.
    ProjectWork = "project.work";
    /// Lead a project: members, quota, which granted tables it includes, closing it.
    ProjectKeep = "project.keep";
    /// Write tickets, ratings, comments and showcases in one's own name.
    VoiceWrite = "voice.write";
    /// Read a ticket that is not public.
    TicketRead = "ticket.read";
    /// Accept, return, hand over and answer a ticket at the desk of one's organisation.
    TicketHandle = "ticket.handle";
    /// Hand a ticket to another desk, take it off the site, as the authority.
    TicketOversee = "ticket.oversee";
    /// Hide comments on a data set, or show them again.
    CommentModerate = "comment.moderate";
    /// Decide what of what was made of open data is shown.
    ShowcaseReview = "showcase.review";
    /// Decide, on a seat of a provider or of the authority, what runs over whole data of a sandbox and what leaves it.
    SandboxReview = "sandbox.review";
    /// Fill in, submit, sign and end an application for data that are open on conditions, of one's organisation or one's own.
    RestrictedApply = "restricted.apply";
    /// Read such an application with its papers.
    RestrictedRead = "restricted.read";
    /// Decide on it, counter-sign and record a breach as the providing organisation.
    RestrictedReview = "restricted.review";
    /// The same as the authority of the region.
    RestrictedOversee = "restricted.oversee";
    /// See the credit record of those who use data that are open on conditions.
    CreditRead = "credit.read";
    /// Enter into the credit record and repair it.
    CreditKeep = "credit.keep";
    /// Give an application the use of one's own data, see who used it, revoke it.
    AuthorisationGive = "authorisation.give";
    /// Confirm whose identifier an account has.
    SubjectConfirm = "subject.confirm";
    /// File one's own name and number to be verified (实名认证), withdraw it.
    RealNameFile = "realname.file";
    /// Decide who somebody is, of what they filed; take that back.
    RealNameReview = "realname.review";
    /// Draw up and hand in opening plans, run risk checks, withdraw open sets of one's organisation.
    PlanKeep = "plan.keep";
    /// Agree to opening plans and risk checks, as the authority.
    PlanReview = "plan.review";
    /// Set up a contest, advance teams, give awards.
    ContestKeep = "contest.keep";
    /// Score works of a contest.
    ContestJudge = "contest.judge";
    /// Write and withdraw policies and notices of the site.
    NewsKeep = "news.keep";
    /// See sources of harvest, their turns and reports.
    HarvestRead = "harvest.read";
    /// Keep sources of harvest, run and pause them.
    HarvestKeep = "harvest.keep";
    /// Work of the platform itself: recovery, expiry, refresh of the serving copy.
    SystemWork = "system.work";
}

/// What an action is done to, with the attributes policies may ask about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `Entry`, `Request`, `Approval`, `Flow`, `Application`, `User`, `Org`, `Audit`, `Asset`, `Proposal`, `Quota`, `Reclaim`, `Notice`, `Outflow`, `Delivery`, `Report`, `Interface`, `Project`, `Ticket`, `Comment`, `Showcase`, `Sandbox`, `Restricted`, `Credit`, `Authorisation`, `Plan`, `Contest`, `News`, `Harvest`, `System`
    pub kind: &'static str,
    pub id: String,
    /// Owning organisation (provider of an entry, organisation of an application or user).
    pub org: Option<String>,
    /// Applying organisation, for requests.
    pub applicant_org: Option<String>,
    /// Person who made it.
    pub owner: Option<String>,
    pub region: Option<String>,
    pub grade: Option<String>,
    pub share_type: Option<String>,
    pub open_type: Option<String>,
    /// Published and online.
    pub live: bool,
    /// State word (request state).
    pub state: Option<String>,
    /// Role that sits on a seat of an approval (at `seat_org`).
    pub seat_role: Option<Role>,
    pub seat_org: Option<String>,
    /// Person who sits on a seat of an approval.
    pub seat_user: Option<String>,
    /// By which way data are asked for: `share` or `open`.
    pub way: Option<String>,
    /// Members of a project, by what they may do in it; of a contest, its judges (`owners`) and a team (`viewers`).
    pub owners: Vec<String>,
    pub developers: Vec<String>,
    pub viewers: Vec<String>,
}

impl Target {
    /// Something without attributes: the audit log, the system, the account list.
    #[must_use]
    pub fn plain(kind: &'static str, id: &str) -> Self {
        Self { kind, id: id.to_owned(), ..Self::default() }
    }
    /// Something that belongs to an organisation.
    #[must_use]
    pub fn of_org(kind: &'static str, id: &str, org: &str) -> Self {
        Self { kind, id: id.to_owned(), org: Some(org.to_owned()), ..Self::default() }
    }
    #[must_use]
    pub fn entry(entry: &Entry) -> Self {
        Self {
            kind: "Entry",
            id: entry.id.clone(),
            org: Some(entry.draft.org.clone()),
            owner: Some(entry.created_by.clone()),
            region: Some(entry.draft.region.clone()),
            grade: Some(entry.grade.as_str().to_owned()),
            share_type: Some(entry.draft.share_type.as_str().to_owned()),
            open_type: Some(entry.draft.open_type.as_str().to_owned()),
            live: entry.live(),
            ..Self::default()
        }
    }
    /// An entry as harvest works at it: made, changed and led on by the platform itself.
    #[must_use]
    pub fn harvested(entry: &Entry) -> Self {
        Self { way: Some("harvest".to_owned()), ..Self::entry(entry) }
    }
    /// A source of harvest in a region.
    #[must_use]
    pub fn harvest(id: &str, region: &str) -> Self {
        Self { kind: "Harvest", id: id.to_owned(), region: some(region), ..Self::default() }
    }
    /// An asset of the ledgers.
    #[must_use]
    pub fn asset(asset: &model::asset::Asset) -> Self {
        Self { id: asset.id.clone(), ..Self::new_asset(&asset.draft) }
    }
    /// An asset that is about to be entered.
    #[must_use]
    pub fn new_asset(draft: &model::asset::AssetDraft) -> Self {
        Self {
            kind: "Asset",
            id: draft.code.clone(),
            org: Some(draft.org.clone()),
            region: Some(draft.region.clone()),
            ..Self::default()
        }
    }
    /// A proposed application of an organisation in a region.
    #[must_use]
    pub fn proposal(proposal: &model::asset::Proposal, region: &str) -> Self {
        Self {
            kind: "Proposal",
            id: proposal.id.clone(),
            org: Some(proposal.draft.org.clone()),
            owner: Some(proposal.created_by.clone()),
            region: Some(region.to_owned()),
            ..Self::default()
        }
    }
    /// An entry as the object of an application (request.submit): for the organisation that the calling application
    /// belongs to or, if it is a citizen's own, for its owner.
    #[must_use]
    pub fn apply(entry: &Entry, application: &Application, way: RequestWay) -> Self {
        Self {
            applicant_org: some(&application.org),
            owner: application.personal().then(|| application.owner.clone()),
            way: Some(way.as_str().to_owned()),
            ..Self::entry(entry)
        }
    }
    /// An application (应用): of its organisation, or a citizen's own.
    #[must_use]
    pub fn application(application: &Application) -> Self {
        Self {
            kind: "Application",
            id: application.id.clone(),
            org: some(&application.org),
            owner: Some(application.owner.clone()),
            ..Self::default()
        }
    }
    #[must_use]
    pub fn request(request: &Request) -> Self {
        Self {
            kind: "Request",
            id: request.id.clone(),
            org: Some(request.provider.clone()),
            applicant_org: some(&request.org),
            owner: Some(request.applicant.clone()),
            region: some(&request.region),
            state: Some(request.state.as_str().to_owned()),
            way: Some(request.way.as_str().to_owned()),
            ..Self::default()
        }
    }
    /// An interface, of the organisation that keeps it.
    #[must_use]
    pub fn interface(interface: &model::interface::Interface) -> Self {
        Self {
            kind: "Interface",
            id: interface.id.clone(),
            org: some(&interface.org),
            owner: some(&interface.created_by),
            region: some(&interface.region),
            live: interface.state.live(),
            state: Some(interface.state.as_str().to_owned()),
            ..Self::default()
        }
    }
    /// A project of an organisation, with its members.
    #[must_use]
    pub fn project(
        project: &model::project::Project,
        members: &[model::project::ProjectMember],
    ) -> Self {
        let who = |role| {
            members.iter().filter(|m| m.role == role).map(|m| m.user.clone()).collect::<Vec<_>>()
        };
        Self {
            owners: who(ProjectRole::Owner),
            developers: who(ProjectRole::Developer),
            viewers: who(ProjectRole::Viewer),
            live: project.closed_at.is_none(),
            ..Self::of_org("Project", &project.id, &project.org)
        }
    }
    /// An outflow, or the place for one: from the organisation that provides to the one that receives.
    #[must_use]
    pub fn outflow(id: &str, provider: &str, receiver: &str) -> Self {
        Self::between("Outflow", id, provider, receiver)
    }
    /// A delivery, or the place for one: likewise.
    #[must_use]
    pub fn delivery(id: &str, provider: &str, receiver: &str) -> Self {
        Self::between("Delivery", id, provider, receiver)
    }
    fn between(kind: &'static str, id: &str, provider: &str, receiver: &str) -> Self {
        Self {
            kind,
            id: id.to_owned(),
            org: some(provider),
            applicant_org: some(receiver),
            ..Self::default()
        }
    }
    /// An application for data that are open on conditions, as an organisation among its providers sees it (`provider`).
    #[must_use]
    pub fn restricted(
        application: &model::restricted::UseApplication,
        provider: Option<&str>,
    ) -> Self {
        Self {
            kind: "Restricted",
            id: application.number.clone(),
            org: provider.and_then(some),
            applicant_org: some(&application.org),
            owner: some(&application.applicant),
            region: some(&application.region),
            state: Some(application.state.as_str().to_owned()),
            ..Self::default()
        }
    }
    /// A ticket, at the desk where it lies.
    #[must_use]
    pub fn ticket(ticket: &model::voice::ticket::Ticket) -> Self {
        Self {
            kind: "Ticket",
            id: ticket.number.clone(),
            org: some(&ticket.org),
            owner: some(&ticket.writer),
            region: some(&ticket.region),
            live: ticket.shown,
            state: Some(ticket.state.as_str().to_owned()),
            ..Self::default()
        }
    }
    /// A comment, by the data set it is on.
    #[must_use]
    pub fn comment(comment: &model::voice::comment::Comment) -> Self {
        Self {
            kind: "Comment",
            id: comment.id.clone(),
            org: some(&comment.org),
            owner: some(&comment.writer),
            region: some(&comment.region),
            ..Self::default()
        }
    }
    /// Something made of open data.
    #[must_use]
    pub fn showcase(showcase: &model::voice::showcase::Showcase) -> Self {
        Self {
            kind: "Showcase",
            id: showcase.id.clone(),
            owner: some(&showcase.writer),
            state: Some(showcase.state.as_str().to_owned()),
            ..Self::default()
        }
    }
    /// An opening plan, a risk check or a withdrawal of an organisation; `owner`: who handed it in.
    #[must_use]
    pub fn plan(id: &str, org: &str, region: &str, owner: &str) -> Self {
        Self { owner: some(owner), region: some(region), ..Self::of_org("Plan", id, org) }
    }
    /// A contest, with its judges and, for a work, the members of its team.
    #[must_use]
    pub fn contest(id: &str, region: &str, judges: &[String], team: &[String]) -> Self {
        Self {
            region: some(region),
            owners: judges.to_vec(),
            viewers: team.to_vec(),
            ..Self::plain("Contest", id)
        }
    }
    /// A notice of the site of a region.
    #[must_use]
    pub fn news(id: &str, region: &str) -> Self {
        Self { region: some(region), ..Self::plain("News", id) }
    }
    /// An approval. `org` is the organisation that owns what is applied for.
    #[must_use]
    pub fn approval(id: &str, state: &State) -> Self {
        Self {
            kind: "Approval",
            id: id.to_owned(),
            org: state.places.get("owner").cloned(),
            applicant_org: some(&state.applicant_org),
            owner: Some(state.applicant.clone()),
            state: Some(state.phase.as_str().to_owned()),
            ..Self::default()
        }
    }
    /// A reporting task: of the organisation that fills it, issued by `applicant_org`, accepted by `seat_org`.
    #[must_use]
    pub fn report(task: &model::report::Task) -> Self {
        Self {
            kind: "Report",
            id: task.id.clone(),
            org: Some(task.org.clone()),
            applicant_org: Some(task.issuer.clone()),
            owner: some(&task.submitted_by),
            state: Some(task.state.as_str().to_owned()),
            seat_org: Some(task.above_org.clone()),
            ..Self::default()
        }
    }
    /// A seat of an approval. While an opinion is asked for (委派), the seat is that person's.
    #[must_use]
    pub fn seat(id: &str, state: &State, seat: &Seat) -> Self {
        let lent = seat.lent.is_some();
        let own = |value: Option<String>| value.filter(|_| !lent);
        Self {
            seat_role: seat.role.filter(|_| !lent && seat.user.is_none()),
            seat_org: own(seat.org.clone()).filter(|_| seat.user.is_none()),
            seat_user: seat.lent.clone().or_else(|| seat.user.clone()),
            ..Self::approval(id, state)
        }
    }
}

/// An empty text is nothing.
fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
