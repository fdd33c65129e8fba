//! Building the house and moving about in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use app::catalogue::Move;
use app::collection::{Order, Spooled};
use app::evidence::Stamping;
use app::rules::Rules;
use app::{App, Folders};
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use model::account::{ApplicationNew, ApplicationSecret, UserNew};
use model::asset::{Asset, Ledger};
use model::calendar::Calendar;
use model::code::SyncMode;
use model::entry::{Entry, EntryDraft};
use model::parcel::Run;
use model::restricted::SigningAlgorithm;
use model::{Actor, Op, Result};
use parking_lot::Mutex;
use policy::Policy;
use policy::port::{Clock, Lake, ReadOptions, Source, Stamper};
use store::{Store, StoreConfig};

use crate::people::{PASSWORD, orgs, people};

/// A clock that stands until it is moved.
#[derive(Debug)]
pub struct SetClock(Mutex<DateTime<Utc>>);

impl SetClock {
    /// Moves the clock forward.
    pub fn forward(&self, by: TimeDelta) {
        *self.0.lock() += by;
    }
}

impl Clock for SetClock {
    fn now(&self) -> DateTime<Utc> {
        // A millisecond a look, so that ids made one after the other are in order.
        let mut now = self.0.lock();
        *now += TimeDelta::milliseconds(1);
        *now
    }
}

/// The house. Dropping it removes its folder.
pub struct House {
    pub app: Arc<App>,
    pub clock: Arc<SetClock>,
    folder: PathBuf,
    url: String,
    /// Removes the folder with the house, unless it is one that stays.
    #[expect(dead_code, reason = "held for its drop")]
    temporary: Option<tempfile::TempDir>,
}

impl House {
    /// On SQLite. Panics (as tests may) when it cannot be built.
    pub async fn new() -> Self {
        Self::on("sqlite:").await
    }

    /// On the store of `url`; on Monday, 2 March 2026, 09:00 in China.
    pub async fn on(url: &str) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().to_owned();
        Self { temporary: Some(temporary), ..Self::within(folder, url).await }
    }

    /// On SQLite in a folder that stays, with the people moved in when it is new: a process may die in it.
    pub async fn at(folder: &Path) -> Self {
        Self::within(folder.to_owned(), "sqlite:").await
    }

    /// On the store of `url`, in a folder that stays.
    pub async fn kept(folder: &Path, url: &str) -> Self {
        Self::within(folder.to_owned(), url).await
    }

    /// On SQLite in a folder that stays, at the pace of a server: for measurements.
    pub async fn at_pace(folder: &Path) -> Self {
        Self::ruled(folder.to_owned(), "sqlite:", Rules::shipped().unwrap()).await
    }

    async fn within(folder: PathBuf, url: &str) -> Self {
        Self::ruled(folder, url, quick()).await
    }

    async fn ruled(folder: PathBuf, url: &str, rules: Rules) -> Self {
        let clock = Arc::new(SetClock(Mutex::new("2026-03-02T01:00:00Z".parse().unwrap())));
        let app = Arc::new(open(&folder, url, Arc::clone(&clock), rules).await);
        let house = Self { app, clock, folder, url: url.to_owned(), temporary: None };
        if house.app.store.org_get(crate::people::AUTHORITY_ORG).await.unwrap().is_none() {
            house.settle_in().await;
        }
        house
    }

    /// Closes the stores and opens the same folder again, as after a restart.
    pub async fn reopen(mut self) -> Self {
        self.app.store.close().await;
        let (path, url, clock) = (self.folder.clone(), self.url.clone(), Arc::clone(&self.clock));
        // The old app (and its index lock) must be gone before the new one opens.
        self.app = {
            let empty = tempfile::tempdir().unwrap();
            let stand_in =
                Arc::new(open(empty.path(), "sqlite:", Arc::clone(&clock), quick()).await);
            drop(std::mem::replace(&mut self.app, stand_in));
            Arc::new(open(&path, &url, clock, quick()).await)
        };
        self
    }

    async fn settle_in(&self) {
        let system = Op::system(self.app.now());
        app::org::enter_regions(&self.app, &system, &model::region::zhejiang()).await.unwrap();
        for org in orgs() {
            app::org::create(&self.app, &system, org).await.unwrap();
        }
        for (name, org, roles) in people() {
            let new = UserNew {
                name: name.into(),
                display_name: name.into(),
                org: org.map(Into::into),
                roles,
                password: PASSWORD.into(),
            };
            app::account::create_user(&self.app, &system, new).await.unwrap();
        }
    }

    /// An operation of one of the people, now.
    pub async fn person(&self, name: &str) -> Op {
        let actor = app::account::person(&self.app, name).await.unwrap();
        self.app.op(actor, "127.0.0.1")
    }

    /// An operation of nobody.
    #[must_use]
    pub fn nobody(&self) -> Op {
        self.app.op(Actor::Nobody, "127.0.0.1")
    }

    /// Registers an application of the consumer's organisation; its operation and credential.
    pub async fn application(&self, name: &str) -> (Op, ApplicationSecret) {
        let consumer = self.person("consumer").await;
        let org = consumer.actor.org().unwrap().to_owned();
        let new = ApplicationNew { name: name.into(), description: String::new(), org };
        let made = app::account::register_application(&self.app, &consumer, new).await.unwrap();
        let a = &made.application;
        let actor = Actor::Application {
            id: a.id.clone(),
            key: a.key.clone(),
            name: a.name.clone(),
            org: a.org.clone(),
            public_body: true,
        };
        (self.app.op(actor, "127.0.0.1"), made)
    }

    /// Compiles, submits, publishes and puts online: the short way to a live entry.
    pub async fn publish(&self, draft: EntryDraft) -> Entry {
        let (provider, authority) = (self.person("provider").await, self.person("authority").await);
        let entry = app::catalogue::create(&self.app, &provider, draft).await.unwrap();
        let mut latest = entry;
        for (op, step) in [
            (&provider, Move::Submit),
            (&authority, Move::Approve),
            (&provider, Move::PutOnline),
            (&authority, Move::Approve),
        ] {
            latest =
                app::catalogue::step(&self.app, op, &latest.id, step, "rehearsal").await.unwrap();
        }
        latest
    }

    /// Enters an asset in service, by one of the people, of their own organisation.
    pub async fn asset(&self, who: &str, ledger: Ledger, code: &str, name: &str) -> Asset {
        let op = self.person(who).await;
        let own: &[(&str, &str)] = match ledger {
            Ledger::Component => &[
                ("state", "listed"),
                ("kind", "身份认证"),
                ("version", "1.0"),
                ("provider", "测试单位"),
                ("call", "REST"),
            ],
            Ledger::Cloud => &[
                ("state", "running"),
                ("kind", "云服务器"),
                ("zone", "政务外网区"),
                ("expiry", "2027-01-31"),
            ],
            _ => &[
                ("state", "running"),
                ("field", "数字政府"),
                ("ends", "浙里办"),
                ("type", "业务办理类"),
                ("level", "省级"),
                ("major", "否"),
            ],
        };
        let common = [("code", code), ("name", name), ("region", "330000"), ("owner", "张三")];
        let row = common.iter().chain(own).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let report = app::ledger::intake(&self.app, &op, ledger, vec![row.collect()], false).await;
        assert!(report.as_ref().is_ok_and(|r| r.applied), "{report:?}");
        app::ledger::by_code(&self.app, &op, ledger, code).await.unwrap()
    }

    /// Puts bytes into the inbox as an upload of `name`.
    pub async fn spool(&self, op: &Op, entry: &str, name: &str, bytes: &[u8]) -> Result<Spooled> {
        let chunk: Result<bytes::Bytes> = Ok(bytes::Bytes::copy_from_slice(bytes));
        let stream = futures::stream::iter([chunk]).boxed();
        app::collection::spool(&self.app, op, entry, name, stream).await
    }

    /// Uploads and collects a file by the provider, and waits.
    pub async fn collect(
        &self,
        entry: &str,
        name: &str,
        bytes: &[u8],
        mode: SyncMode,
    ) -> Result<Run> {
        let provider = self.person("provider").await;
        let spooled = self.spool(&provider, entry, name, bytes).await?;
        let order = Order {
            entry: entry.into(),
            source: Source::File { path: spooled.path, name: name.into() },
            mode,
            options: ReadOptions::default(),
        };
        app::collection::collect(&self.app, &provider, order).await
    }

    /// Has seals stamped by the authority at `url`, and trusts the certificates of `authorities` (PEM); without a URL the latter alone.
    pub fn stamped_by(&mut self, url: Option<&str>, authorities: &str) {
        let outgoing = ingest::outgoing::Outgoing::loopback().unwrap();
        let stamper: Option<Arc<dyn Stamper>> = match url {
            Some(url) => Some(Arc::new(ingest::HttpStamper::reaching(outgoing, url.into()))),
            None => None,
        };
        let authorities = Some(guard::timestamp::Authorities::from_pem(authorities).unwrap());
        self.notary(SigningAlgorithm::Sm2, Stamping { stamper, authorities });
    }

    /// Has evidence signed by this algorithm where nobody asks for another; nobody stamps seals.
    pub fn signs_by(&mut self, algorithm: SigningAlgorithm) {
        self.notary(algorithm, Stamping::default());
    }

    fn notary(&mut self, signing: SigningAlgorithm, stamping: Stamping) {
        let app = Arc::get_mut(&mut self.app).expect("nobody else holds the rooms yet");
        app.evidence = app::evidence::Memory::new(&app.keys, signing, stamping).unwrap();
    }

    /// Opens the SQL door over the house's lake; answers where it listens.
    pub async fn sql(&self) -> std::net::SocketAddr {
        self.sql_with(None).await
    }

    /// The same with a certificate.
    pub async fn sql_with(&self, tls: Option<&guard::tls::TlsFiles>) -> std::net::SocketAddr {
        let config = lake::LakeConfig {
            memory_limit_bytes: 64 << 20,
            ..lake::LakeConfig::new(self.folder.join("lake").to_string_lossy())
        };
        let lake = Arc::new(lake::DeltaLake::open(&config, self.app.keys.mask()).unwrap());
        let desk = Arc::new(app::wire::Desk::new(Arc::clone(&self.app)));
        let door = lake::SqlDoor::new(lake, desk, tls).unwrap();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(door.serve(listener, std::future::pending()));
        address
    }

    /// Address of the store, for a second process on it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The shipped rules, with rails and return flows that take small steps at once.
fn quick() -> Rules {
    let mut rules = Rules::shipped().unwrap();
    rules.rail.chunk_rows = 500;
    rules.rail.gather_ms = 50;
    rules.rail.gather_rows = 400;
    rules.rail.measure_seconds = 1;
    rules.rail.count_seconds = 1;
    rules.rail.retry_first_ms = 50;
    rules.rail.retry_longest_ms = 500;
    rules.sql.waiting = 12;
    rules.sql.sign_in_seconds = 5;
    rules.project.memory_mb = 32;
    rules.project.look_ms = 50;
    rules.project.grid_rows = 50;
    rules.project.page_rows = 20;
    rules.outflow.snapshot_rows = 500;
    rules.outflow.parcels = 5;
    rules.outflow.poll_ms = 200;
    rules.outflow.retry_first_ms = 50;
    rules.outflow.retry_longest_ms = 500;
    rules.delivery.retry_first_ms = 50;
    rules.delivery.retry_longest_ms = 500;
    rules
}

async fn open(folder: &Path, url: &str, clock: Arc<SetClock>, rules: Rules) -> App {
    let keys = guard::KeyRing::from_bytes(&[7; 32]).unwrap();
    let store = Store::open(&StoreConfig {
        url: url.into(),
        folder: folder.join("store"),
        keys: keys.clone(),
    })
    .await
    .unwrap();
    let config = lake::LakeConfig::new(folder.join("lake").to_string_lossy());
    let inbox = folder.join("inbox");
    std::fs::create_dir_all(&inbox).unwrap();
    let exchange = folder.join("exchange");
    std::fs::create_dir_all(&exchange).unwrap();
    // Sources of the tests are on this machine.
    let outgoing = ingest::outgoing::Outgoing::loopback().unwrap();
    // Calls are signed after the house was opened.
    let start = clock.now();
    let lake = Arc::new(lake::DeltaLake::open(&config, keys.mask()).unwrap());
    let makers = rules.delta.makers;
    App {
        store,
        policy: Policy::shipped().unwrap(),
        lake: Arc::clone(&lake) as Arc<dyn Lake>,
        intake: Arc::new(ingest::Reader::reaching(outgoing.clone())),
        transform: Arc::clone(&lake) as _,
        search: Arc::new(search::Index::open(&folder.join("search")).unwrap()),
        shelf: Arc::new(ingest::Shelves::new(outgoing.clone(), vec![exchange.clone()])),
        upstream: Arc::new(ingest::Upstreams::reaching(outgoing.clone(), keys.mask())),
        clock,
        keys: keys.clone(),
        calendar: Calendar::china(),
        rules,
        folders: Folders { inbox, exchange },
        accounts: app::account::Memory::new(start, guard::password::Cost::TEST),
        shares: app::sharing::Memory::default(),
        collections: app::collection::Memory::default(),
        boards: app::control::Memory::default(),
        rails: app::rail::Memory::new(Arc::new(ingest::Rails::reaching(outgoing.clone()))),
        pipelines: app::pipeline::Memory::default(),
        interfaces: app::interface::Memory::default(),
        deliveries: app::delivery::Memory::default(),
        outflows: app::outflow::Memory::new(Arc::new(ingest::Outlets::reaching(outgoing.clone()))),
        delta: app::delta::Memory::new(makers),
        evidence: app::evidence::Memory::new(&keys, SigningAlgorithm::Sm2, Stamping::default())
            .unwrap(),
        projects: app::project::Memory::new(
            Arc::new(lake::Bench::new(Arc::clone(&lake))),
            Arc::new(sandbox::Wasm),
        ),
        halts: app::halt::Memory::default(),
        reconciles: app::reconcile::Memory::default(),
        identity: app::identity::Memory::new(
            Arc::new(ingest::IdentityServices::reaching(outgoing.clone())),
            Vec::new(),
        ),
        harvests: app::harvest::Memory::new(Arc::new(ingest::Catalogues::reaching(
            outgoing.clone(),
        ))),
        voices: app::voice::Memory::new(Arc::new(ingest::LinkLooker::reaching(outgoing))),
        papers: Arc::new(paper::Press::new(None)),
    }
}

impl std::fmt::Debug for House {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("House").field("folder", &self.folder).finish_non_exhaustive()
    }
}
