//! `qiantang demo`: everything in one process on the embedded stores, with a synthetic province.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use model::{Error, Result};

use super::{err, out, out_json};
use crate::config::{Config, ProcessRole};
use crate::house::House;
use crate::seed;
use crate::seed_crowd;
use crate::serve::Doors;
use crate::{seed_delivery, seed_interface, seed_project, seed_sandbox};

/// Start everything with a synthetic province. 启动演示省份。
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example 示例: qiantang demo --data ./qiantang-data --listen 127.0.0.1:8600 --ready ready.json"
)]
pub(crate) struct Args {
    /// Data folder; a second start on it resumes and changes nothing. 数据目录。
    #[arg(long, value_name = "DIR", default_value = "./qiantang-data")]
    data: PathBuf,
    /// Store in place of SQLite files in the data folder: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. 控制库，默认为数据目录中的 SQLite。
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Address of the portal; gateway, metrics and SQL take the next three ports (port 0: free ones). 门户地址。
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8600")]
    listen: SocketAddr,
    /// Bring in the data sets described by `manifest.toml` in DIR (or by --manifest). 载入真实数据。
    #[arg(long, value_name = "DIR")]
    load: Option<PathBuf>,
    /// Manifest for --load, when it does not stand in DIR. 数据清单。
    #[arg(long, value_name = "FILE", requires = "load")]
    manifest: Option<PathBuf>,
    /// Multiplies the synthetic rows. 数据量倍数。
    #[arg(long, value_name = "N", default_value_t = 1)]
    scale: u32,
    /// Adds as many applications (2,000) and interfaces (3,912) as a province has; takes minutes. 加入众多应用与接口。
    #[arg(long)]
    crowd: bool,
    /// Written as JSON when everything answers. 就绪文件。
    #[arg(long, value_name = "FILE")]
    ready: Option<PathBuf>,
    /// Print addresses, accounts and applications as one line of JSON. 以 JSON 输出。
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let config = config(&args)?;
    let doors = Doors::bind(&config).await?;
    let house = House::open(&config).await?;
    // Seeding goes on where an interrupted start stopped: its collections end first.
    app::collection::recover(&house.app).await?;
    let work = house.folder.sub("demo");
    std::fs::create_dir_all(&work).map_err(|e| Error::internal("demo folder").caused_by(e))?;
    let seeded = seed::seed(&house.app, args.scale, &work.join("apps.json"), &work).await?;
    seed::cities(&house.app, &work).await?;
    let crowd = work.join("crowd.json");
    if args.crowd {
        seed_crowd::crowd(&house.app, &crowd).await?;
    }
    if let Some(dir) = &args.load {
        let loaded = seed::load(&house.app, args.manifest.as_deref(), dir, &work).await?;
        let rows: u64 = loaded.iter().map(|(_, n)| n).sum();
        err(&format!("已载入 loaded: {} data sets, {rows} rows", loaded.len()));
    }
    let resources = seed::resources(&house.app, &doors.gateway_url).await?;
    let interfaces = seed_interface::listed(&house.app, &doors.gateway_url).await?;
    let projects = seed_project::listed(&house.app).await?;
    let deliveries = seed_delivery::listed(&house.app).await?;
    let sandboxes = seed_sandbox::listed(&house.app).await?;
    let (portal, gateway) = (doors.portal_url.clone(), doors.gateway_url.clone());
    let value = serde_json::json!({
        "portal": portal,
        "gateway": gateway,
        "sql": doors.sql_address,
        "operation": format!("http://{}", doors.operation_address()),
        "accounts": seeded.accounts.iter().map(|(role, user, password)| serde_json::json!({
            "role": role, "user": user, "password": password })).collect::<Vec<_>>(),
        "apps": seeded.apps.iter().map(|a| serde_json::json!({
            "id": a.id, "name": a.name, "key": a.key, "secret": a.secret,
            "sql_password": a.sql_password })).collect::<Vec<_>>(),
        "resources": resources,
        "interfaces": interfaces,
        // The file that names them: they are many.
        "crowd": args.crowd.then_some(&crowd),
        "projects": projects,
        "deliveries": deliveries,
        "sandboxes": sandboxes,
    });
    if args.json {
        out_json(&value)?;
    } else {
        greet(&doors, &seeded, &resources);
    }
    if let Some(file) = args.ready.clone() {
        tokio::spawn(tell_ready(file, value, doors.portal_address(), doors.gateway_address()));
    }
    doors.serve(&config, house).await?;
    Ok(ExitCode::SUCCESS)
}

fn config(args: &Args) -> Result<Config> {
    let mut config = Config::default();
    config.data.folder.clone_from(&args.data);
    config.at_home();
    if let Some(url) = &args.store {
        config.store.url.clone_from(url);
    }
    config.portal.listen = args.listen;
    config.gateway.listen = args.listen;
    config.operation.listen = args.listen;
    config.gateway.older_convention = true;
    config.gateway.ckan_write = true;
    config.roles.push(ProcessRole::Sql);
    config.sql.listen = args.listen;
    let port = args.listen.port();
    let next = |by: u16| match port {
        0 => Ok(0),
        port => port
            .checked_add(by)
            .ok_or_else(|| Error::invalid("端口应小于 65533", "the port must be below 65533")),
    };
    config.gateway.listen.set_port(next(1)?);
    config.operation.listen.set_port(next(2)?);
    config.sql.listen.set_port(next(3)?);
    config.check()?;
    Ok(config)
}

/// Waits until both doors answer, then writes the file in one move.
async fn tell_ready(
    file: PathBuf,
    value: serde_json::Value,
    portal: SocketAddr,
    gateway: SocketAddr,
) {
    for address in [portal, gateway] {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
    let mut part = file.clone().into_os_string();
    part.push(".part");
    let written = tokio::fs::write(&part, format!("{value:#}\n")).await;
    let moved = match written {
        Ok(()) => tokio::fs::rename(&part, &file).await,
        failed => failed,
    };
    if let Err(e) = moved {
        err(&format!("无法写入就绪文件 cannot write the ready file {}: {e}", file.display()));
    }
}

fn greet(doors: &Doors, seeded: &seed::Seeded, resources: &[seed::Resource]) {
    let (portal, gateway) = (&doors.portal_url, &doors.gateway_url);
    let rows: i64 = resources.iter().map(|r| r.rows).sum();
    out(&format!(
        "\n钱塘演示省份已就绪 the demo province is ready: {} resources, {rows} rows (合成数据 synthetic)",
        resources.len()
    ));
    out(&format!("  门户 portal    {portal}"));
    out(&format!("  接口 gateway   {gateway}  (OpenAPI: {gateway}/openapi.json)"));
    out(&format!(
        "  运维 operation http://{}  (/health /ready /metrics)",
        doors.operation_address()
    ));
    out(&format!(
        "  SQL            postgresql://{}/qiantang  (用户为应用 key，密码见下 user = an application's key)",
        doors.sql_address
    ));
    out("  账号 accounts  (所有密码相同 one password for all)");
    for (role, user, password) in &seeded.accounts {
        out(&format!("    {user:<12} {password:<20} {role}"));
    }
    out("  应用 applications");
    for a in &seeded.apps {
        out(&format!("    {:<12} key {}  secret {}", a.name, a.key, a.secret));
        out(&format!("    {:<12} SQL {}", "", a.sql_password));
    }
    out("  停止 stop: Ctrl-C");
}
