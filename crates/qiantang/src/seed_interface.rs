//! Interfaces in the demo, some of each kind, over resources that the demo's applications are granted. Every step goes through the
//! rooms, by the person who may do it.

use app::App;
use app::interface::{self, Move};
use model::Result;
use model::interface::InterfaceState;
use serde::Serialize;

use crate::seed::op_of;

/// An interface as the ready file names it.
#[derive(Clone, Debug, Serialize)]
pub struct DemoInterface {
    /// Of its page in the console.
    pub id: String,
    pub code: String,
    pub kind: String,
    pub title: String,
    pub entry: String,
    pub url: String,
    /// The same by the older convention.
    pub older: String,
    /// Names of its parameters.
    pub params: Vec<String>,
}

/// What is drawn up: all but the last stand on resources that the service team is granted.
const TEXTS: [&str; 9] = [
    "title = \"企业基本信息查询\"\ndescription = \"按统一社会信用代码查询企业登记信息。\"\nkind = \"query\"\nentry = \"fr_jbxx\"\n\
     [[param]]\nname = \"uscc\"\nitem = \"tyshxydm\"\nrequired = true\nnote = \"18 位\"\n\
     [[return]]\nitem = \"tyshxydm\"\nname = \"uscc\"\n[[return]]\nitem = \"qymc\"\nname = \"name\"\n[[return]]\nitem = \"djzt\"\n[[return]]\nitem = \"fddbr\"\n[[return]]\nitem = \"clrq\"\n",
    "title = \"企业名称模糊查询\"\nkind = \"fuzzy\"\nentry = \"fr_jbxx\"\npage_rows = 10\nmost_rows = 100\n\
     [[param]]\nname = \"name\"\nitem = \"qymc\"\nmatch = \"contains\"\nrequired = true\n\
     [[return]]\nitem = \"tyshxydm\"\n[[return]]\nitem = \"qymc\"\n[[return]]\nitem = \"djzt\"\n",
    "title = \"空气质量日报列表\"\nkind = \"list\"\nentry = \"kqzl_rb\"\npage_rows = 20\nmost_rows = 500\norder = [\"-rq\", \"csdm\"]\n\
     [[param]]\nname = \"city\"\nitem = \"csdm\"\n[[param]]\nname = \"since\"\nitem = \"rq\"\nmatch = \"from\"\n\
     [[return]]\nitem = \"csdm\"\n[[return]]\nitem = \"csmc\"\n[[return]]\nitem = \"rq\"\n[[return]]\nitem = \"aqi\"\n[[return]]\nitem = \"zldj\"\n",
    "title = \"人口姓名核验\"\ndescription = \"只答是或否，不返回任何值。\"\nkind = \"verify\"\nentry = \"rk_jbxx\"\n\
     [[param]]\nname = \"sfzh\"\nitem = \"sfzh\"\nrequired = true\n[[param]]\nname = \"xm\"\nitem = \"xm\"\nrequired = true\n",
    "title = \"按登记状态统计企业\"\nkind = \"statistics\"\nentry = \"fr_jbxx\"\n\
     [[param]]\nname = \"since\"\nitem = \"clrq\"\nmatch = \"from\"\n\
     [statistics]\ngroup_by = [\"djzt\"]\n[[statistics.measure]]\nhow = \"count\"\n[[statistics.measure]]\nhow = \"max\"\nitem = \"clrq\"\n",
    "title = \"企业批量查询\"\nkind = \"batch\"\nentry = \"fr_jbxx\"\nmost_keys = 50\n\
     [[param]]\nname = \"uscc\"\nitem = \"tyshxydm\"\n[[return]]\nitem = \"tyshxydm\"\n[[return]]\nitem = \"qymc\"\n[[return]]\nitem = \"djzt\"\n",
    "title = \"空气质量变化\"\nkind = \"incremental\"\nentry = \"kqzl_rb\"\npage_rows = 200\n\
     [[return]]\nitem = \"csdm\"\n[[return]]\nitem = \"rq\"\n[[return]]\nitem = \"aqi\"\n",
    "title = \"空气质量整份下载\"\nkind = \"file\"\nentry = \"kqzl_rb\"\n\
     [[param]]\nname = \"city\"\nitem = \"csdm\"\n[[return]]\nitem = \"csdm\"\n[[return]]\nitem = \"rq\"\n[[return]]\nitem = \"aqi\"\n",
    "title = \"企业与行政处罚\"\ndescription = \"企业登记信息与行政处罚公示按统一社会信用代码组合。\"\nkind = \"composed\"\nentry = \"fr_jbxx\"\nmost_rows = 200\n\
     [[param]]\nname = \"uscc\"\nitem = \"tyshxydm\"\nrequired = true\n\
     [[part]]\nname = \"cf\"\nentry = \"xzcf_gs\"\nitem = \"tyshxydm\"\nequals = \"tyshxydm\"\noptional = true\n\
     [[return]]\nitem = \"qymc\"\n[[return]]\nitem = \"djzt\"\n[[return]]\nitem = \"cf.cfwsh\"\n[[return]]\nitem = \"cf.cfsy\"\n[[return]]\nitem = \"cf.cfrq\"\n",
];

/// Draws up and publishes what is not there yet.
pub(crate) async fn interfaces(app: &App) -> Result<()> {
    let authority = op_of(app, "authority").await?;
    let known = interface::list(app, &authority, false, None, None, 200).await?.items;
    for text in TEXTS {
        if known.iter().any(|i| i.interface.text == text) {
            continue;
        }
        let made = interface::create(app, &authority, text).await?;
        for to in [InterfaceState::Test, InterfaceState::Published] {
            let to = Move { to, share: 100, until: String::new() };
            interface::step(app, &authority, &made.id, &to).await?;
        }
    }
    Ok(())
}

/// The live interfaces, for the ready file (the first two hundred).
pub async fn listed(app: &App, gateway_url: &str) -> Result<Vec<DemoInterface>> {
    let authority = op_of(app, "authority").await?;
    let live = interface::list(app, &authority, false, None, None, 200).await?.items;
    let named = |view: interface::InterfaceView| {
        let (code, draft) = (view.interface.code, view.interface.draft);
        DemoInterface {
            url: format!("{gateway_url}/api/interface/{code}"),
            id: view.interface.id,
            older: format!("{gateway_url}/gateway/api/001003001/dataSharing/{code}.htm"),
            params: draft.param.into_iter().map(|p| p.name).collect(),
            kind: draft.kind.as_str().to_owned(),
            title: draft.title,
            entry: draft.entry,
            code,
        }
    };
    Ok(live.into_iter().map(named).collect())
}
