//! Actions of the audit in words: a thing and what was done to it, as the record's word has them (`open.sized`).

use super::{Words, known};
use crate::visit::Lang;

/// The action in words. What no list holds keeps its own word, so that a record never hides what was done.
pub(crate) fn audit_action(word: &str, lang: Lang) -> String {
    said(word, lang).unwrap_or_else(|| word.to_owned())
}

/// The same, `None` when a list lacks the thing or the deed.
pub(crate) fn said(word: &str, lang: Lang) -> Option<String> {
    let of = |list: Words, word: &str| {
        list.iter().find(|(w, _, _)| *w == word).map(|(_, zh, en)| lang.of(zh, en))
    };
    if let Some(whole) = of(WHOLE, word) {
        return Some(whole.to_owned());
    }
    let (thing, deed) = word.split_once('.')?;
    // Deeds of some things are words of the model.
    let kinds: &[&str] = match thing {
        "approval" => &["approval_event"],
        "entry" | "request" => &["step", "move", "request_move"],
        "news" => &["news_state"],
        "report" => &["report_event"],
        "restricted" => &["use_deed"],
        "showcase" => &["showcase_state"],
        "ticket" => &["deed"],
        _ => &[],
    };
    let modelled = |deed: &str| kinds.iter().find_map(|kind| known(kind, deed, lang));
    let plain = |deed: &str| of(DEEDS, deed).or_else(|| modelled(deed));
    let thing = of(THINGS, thing)?;
    let (colon, ended) = (lang.of("：", ": "), lang.of("（结束）", " (ended)"));
    match (plain(deed), deed.strip_suffix(".end").and_then(plain)) {
        (Some(deed), _) => Some(format!("{thing}{colon}{deed}")),
        // What began and was told when it ended is two records.
        (None, Some(deed)) => Some(format!("{thing}{colon}{deed}{ended}")),
        (None, None) => None,
    }
}

/// Words whose parts say too little.
const WHOLE: Words = &[
    ("application.sign", "应用：签名校验", "Application: check of a signature"),
    ("audit.verify", "审计：校验哈希链", "Audit: verify the chain"),
    ("data.collect", "数据归集：归集", "Collection: collect"),
    ("exchange.key", "文件交换：登记密钥", "Exchange of files: set the keys"),
    ("halt.begin", "紧急停用：停用", "Emergency stop: stop"),
    ("halt.lift", "紧急停用：解除", "Emergency stop: lift"),
    ("interface.call", "接口：调用", "Interface: call"),
    ("ledger.fill", "台账：填充至全省规模", "Ledger: fill to the size of a province"),
    ("open.table", "开放数据：读取表", "Open data: read a table"),
    ("opening.withdraw", "开放管理：停止开放", "Opening: withdraw from opening"),
    ("restricted.approve", "受限开放：同意", "Restricted opening: agree"),
    ("restricted.key", "受限开放：登记签名公钥", "Restricted opening: register a signing key"),
    ("rows.verify", "数据行：核验", "Rows: verify"),
    ("system.work", "平台：例行工作", "Platform: its own work"),
];

const THINGS: Words = &[
    ("account", "账户", "Account"),
    ("application", "应用", "Application"),
    ("approval", "审批", "Approval"),
    ("asset", "资源台账", "Ledger"),
    ("audit", "审计", "Audit"),
    ("authorisation", "主体授权", "Authorisation by subjects"),
    ("basket", "申请篮", "Basket"),
    ("bounds", "调用约束", "Bounds of calling"),
    ("channel", "通道", "Channel"),
    ("comment", "评论", "Comment"),
    ("contest", "开放大赛", "Contest"),
    ("control", "监管大屏", "Control"),
    ("convention", "调用约定", "Calling convention"),
    ("credit", "信用记录", "Credit record"),
    ("data", "数据归集", "Collection"),
    ("dataset", "数据集", "Data set"),
    ("delivery", "推送", "Delivery"),
    ("dispatch", "调度", "Dispatch"),
    ("entry", "目录", "Entry"),
    ("exchange", "文件交换", "Exchange of files"),
    ("flow", "审批流程", "Approval flow"),
    ("halt", "紧急停用", "Emergency stop"),
    ("harvest", "目录采集", "Harvest"),
    ("identity", "统一身份", "Identity"),
    ("interface", "接口", "Interface"),
    ("job", "平台任务", "Job"),
    ("lake", "数据湖", "Lake"),
    ("ledger", "台账", "Ledger"),
    ("news", "政策动态", "Policies and notices"),
    ("notice", "消息", "Notices"),
    ("open", "开放数据", "Open data"),
    ("opening", "开放管理", "Opening"),
    ("org", "机构", "Organisation"),
    ("outflow", "数据回流", "Return flow"),
    ("pipeline", "数据管道", "Pipeline"),
    ("plan", "开放计划", "Opening plan"),
    ("production", "一体化生产", "Build pack"),
    ("project", "批量项目", "Project"),
    ("proposal", "应用查重", "Check for duplicates"),
    ("quarantine", "隔离区", "Quarantine"),
    ("quota", "配额", "Quota"),
    ("rail", "实时通道", "Real-time rail"),
    ("realname", "实名认证", "Real name"),
    ("reclaim", "闲置回收", "Reclaim"),
    ("reconcile", "对账", "Comparison"),
    ("report", "数据报送", "Reporting"),
    ("request", "共享申请", "Share application"),
    ("restricted", "受限开放", "Restricted opening"),
    ("rows", "数据行", "Rows"),
    ("run", "归集任务", "Run"),
    ("sandbox", "数据沙箱", "Data sandbox"),
    ("security", "安全规则", "Security rules"),
    ("showcase", "应用成果", "Showcase"),
    ("source", "数据源", "Data source"),
    ("sql", "SQL 通道", "SQL door"),
    ("subject", "主体身份", "Subject"),
    ("system", "平台", "Platform"),
    ("ticket", "互动工单", "Ticket"),
    ("usage", "用量", "Usage"),
    ("user", "用户", "User"),
    ("voice", "公众互动", "Public voice"),
];

const DEEDS: Words = &[
    ("accept", "受理", "accept"),
    ("add", "新增", "add"),
    ("advance", "晋级", "advance"),
    ("again", "重新运行", "run again"),
    ("agree", "同意", "agree"),
    ("allow", "批准", "allow"),
    ("anew", "重新投送", "deliver anew"),
    ("answer", "答复", "answer"),
    ("apply", "办理申请", "apply"),
    ("approve", "通过", "approve"),
    ("ask", "申请", "ask"),
    ("assess", "风险检查", "check the risk"),
    ("assessment-agree", "同意风险检查", "agree to the risk check"),
    ("assessment-refuse", "不同意风险检查", "refuse the risk check"),
    ("assessment-submit", "提交风险检查", "hand in the risk check"),
    ("attach", "上传附件", "attach a file"),
    ("attachment", "下载附件", "read an attached file"),
    ("award", "授奖", "award"),
    ("backchannel", "通知退出", "tell of a sign-out"),
    ("backfill", "补数", "read days again"),
    ("batch", "批量使用", "use in batch"),
    ("begin", "开始", "begin"),
    ("beside", "审计记录旁存", "keep records beside the table"),
    ("call", "调用", "call"),
    ("cancel", "取消", "cancel"),
    ("catalogue", "登记成果目录", "enter a result into the catalogue"),
    ("certificate_add", "登记证书", "add a certificate"),
    ("certificate_remove", "移除证书", "remove a certificate"),
    ("change", "修改", "change"),
    ("check", "核对", "check"),
    ("client", "登记客户端", "register the client"),
    ("close", "关闭", "close"),
    ("close-round", "结束轮次", "close a round"),
    ("code", "发放授权码", "give a code"),
    ("collect", "归集", "collect"),
    ("comment", "发表评论", "comment"),
    ("compact", "合并小文件", "compact files"),
    ("compare", "核对", "compare"),
    ("compile", "编目", "compile"),
    ("confirm", "确认", "confirm"),
    ("consent", "同意授权", "consent"),
    ("contact", "查看联系方式", "read the contact"),
    ("create", "新建", "create"),
    ("decide", "办理", "decide"),
    ("delta_revoke", "撤销 Delta 令牌", "revoke a Delta token"),
    ("delta_token", "发放 Delta 令牌", "give a Delta token"),
    ("deprecated", "标记弃用", "deprecate"),
    ("design", "设计报表", "design forms"),
    ("detach", "移除附件", "remove a file"),
    ("discard", "放弃草稿", "discard the draft"),
    ("dismiss", "放弃", "dismiss"),
    ("dismissed", "放弃", "dismiss"),
    ("download", "下载", "download"),
    ("draft", "起草目录", "draft entries"),
    ("drift", "检查结构变动", "look for changed tables"),
    ("dry-run", "试运行", "dry run"),
    ("edit", "修改", "edit"),
    ("end", "结束", "end"),
    ("ended", "结束", "end"),
    ("enter", "提交", "enter"),
    ("evidence", "查看证明材料", "read the evidence"),
    ("expire", "到期", "expire"),
    ("export", "导出", "export"),
    ("export.allow", "批准导出", "allow an export"),
    ("export.ask", "申请导出", "ask for an export"),
    ("export.take", "取走导出", "take an export"),
    ("extension.ask", "申请延期", "ask for a longer term"),
    ("fault", "发现链损坏", "find the chain broken"),
    ("feedback", "成效反馈", "feedback"),
    ("fetch", "取文件", "fetch a file"),
    ("file", "提交", "file"),
    ("file_demand", "提交需求", "file a demand"),
    ("file_objection", "提交异议", "file an objection"),
    ("file_share", "提交共享申请", "file a share application"),
    ("fill", "填报", "fill"),
    ("flow", "回流", "return flow"),
    ("follow", "跟进", "follow"),
    ("forget", "到期清除", "forget after its term"),
    ("form_create", "新建报表", "make a form"),
    ("form_publish", "发布报表", "publish a form"),
    ("form_save", "保存报表", "save a form"),
    ("give", "授权", "give"),
    ("grant", "发放授权", "grant"),
    ("handle", "办理", "handle"),
    ("heal", "补正", "heal"),
    ("hidden", "隐藏", "hidden"),
    ("hide", "隐藏", "hide"),
    ("import", "导入", "import"),
    ("invitation", "更换邀请码", "change the invitation"),
    ("issue", "下发", "issue"),
    ("job.cancel", "取消作业", "cancel a job"),
    ("job.end", "作业结束", "a job ended"),
    ("job.pause", "暂停作业", "pause a job"),
    ("job.remove", "删除作业", "remove a job"),
    ("job.resume", "恢复作业", "resume a job"),
    ("job.run", "运行作业", "run a job"),
    ("job.save", "保存作业", "save a job"),
    ("join", "加入", "join"),
    ("judge", "评分", "score"),
    ("keep", "管理", "keep"),
    ("key", "更换密钥", "change a key"),
    ("keys", "读取主键", "read the keys"),
    ("landed", "入湖", "landed"),
    ("leave", "退出", "leave"),
    ("lend", "委托", "lend seats"),
    ("lend_end", "结束委托", "end the lending"),
    ("lift", "解除", "lift"),
    ("limit", "限定行范围", "limit the rows"),
    ("link", "关联", "link"),
    ("login", "登录", "sign in"),
    ("logout", "退出", "sign out"),
    ("manage", "管理", "manage"),
    ("map", "映射", "map"),
    ("measured", "测算质量", "measure"),
    ("member", "调整成员", "change members"),
    ("member_out", "移出成员", "remove a member"),
    ("mend", "修正", "mend"),
    ("merge", "合并", "merge"),
    ("moderate", "管理", "moderate"),
    ("move", "变更状态", "move"),
    ("number", "查看证件号码", "read the number"),
    ("object", "提出异议", "object"),
    ("offline", "下线", "take offline"),
    ("open", "开启", "open"),
    ("oversee", "督办", "oversee"),
    ("overview", "查看汇总", "read the overview"),
    ("password", "修改密码", "change the password"),
    ("pause", "暂停", "pause"),
    ("placed", "测算位置", "find the places"),
    ("plan", "公布计划", "plan"),
    ("plan-agree", "同意开放计划", "agree to a plan"),
    ("plan-return", "退回开放计划", "return a plan"),
    ("plan-submit", "提交开放计划", "hand in a plan"),
    ("plan-write", "编写开放计划", "write a plan"),
    ("preview", "预览", "preview"),
    ("print", "生成文书", "print the papers"),
    ("program", "上传程序", "bring in a program"),
    ("propose", "提议", "propose"),
    ("prove", "出具证明", "prove"),
    ("publish", "发布", "publish"),
    ("published", "发布", "publish"),
    ("query", "查询", "query"),
    ("quota", "调整配额", "set the quota"),
    ("rate", "评分", "rate"),
    ("read", "查看", "read"),
    ("receipt", "回执", "receipt"),
    ("receive", "接收", "receive"),
    ("refresh", "刷新密钥", "refresh a secret"),
    ("refuse", "不同意", "refuse"),
    ("register", "登记", "register"),
    ("reject", "驳回", "reject"),
    ("release.ask", "申请发布结果", "ask for a release"),
    ("release.end", "结束发布", "end a release"),
    ("release.publish", "发布结果接口", "publish a result"),
    ("release.take", "取走结果", "take a result"),
    ("remove", "删除", "remove"),
    ("renew", "更换密钥", "renew the secret"),
    ("repair", "修复", "repair"),
    ("replay", "重放", "replay"),
    ("reply", "回复", "reply"),
    ("report", "举报", "report"),
    ("reset_password", "重置密码", "reset the password"),
    ("resume", "恢复", "resume"),
    ("retry", "重试", "retry"),
    ("return", "退回", "return"),
    ("review", "审核", "review"),
    ("review_authority", "主管部门审核", "review as the authority"),
    ("review_provider", "数源单位审核", "review as the provider"),
    ("revoke", "撤销", "revoke"),
    ("rule", "修改规则", "change a rule"),
    ("rules", "规则生效", "rules in force"),
    ("run", "运行", "run"),
    ("run.ask", "申请运行", "ask for a run"),
    ("run.end", "运行结束", "a run ended"),
    ("run_accepting_loss", "确认缺失后运行", "run, accepting the loss"),
    ("sample", "带入样本", "bring in a sample"),
    ("save", "保存", "save"),
    ("score", "评分", "score"),
    ("secret-remove", "删除管道密钥", "remove a secret"),
    ("secret-set", "登记管道密钥", "set a secret"),
    ("send", "发送", "send"),
    ("set", "设置", "set"),
    ("set-up", "设立", "set up"),
    ("share", "调整流量占比", "set the share"),
    ("show", "恢复显示", "show again"),
    ("sign", "签名", "sign"),
    ("sign_up", "注册", "sign up"),
    ("sized", "读取文件校验和", "read files through for their checksums"),
    ("sql", "SQL 查询", "query by SQL"),
    ("sql_close", "关闭 SQL 账号", "close the SQL login"),
    ("sql_password", "设置 SQL 密码", "set the SQL password"),
    ("start", "启用", "start"),
    ("step", "推进", "step"),
    ("stop", "停用", "stop"),
    ("submit", "提交", "submit"),
    ("support", "支持", "support"),
    ("survey", "读取库表结构", "read the tables"),
    ("suspend", "暂停", "suspend"),
    ("sweep", "清理旧文件", "sweep old files"),
    ("table", "读取表", "read a table"),
    ("take", "取走", "take"),
    ("take-back", "收回", "take back"),
    ("take_back", "收回", "take back"),
    ("team", "组队", "found a team"),
    ("template", "下载模板", "read the template"),
    ("test", "测试连接", "try the connection"),
    ("token", "发放令牌", "give a token"),
    ("token_make", "新建令牌", "make a token"),
    ("token_revoke", "撤销令牌", "revoke a token"),
    ("token_use", "使用令牌", "use a token"),
    ("trace", "查看水印来源", "trace a watermark"),
    ("transfer", "转办", "hand on"),
    ("trial", "试用", "try"),
    ("turn", "一次运行", "a turn"),
    ("undo", "撤回", "withdraw"),
    ("unlink", "取消关联", "unlink"),
    ("unlock", "解除锁定", "unlock"),
    ("until", "设定停用日", "set the last day"),
    ("upload", "上传", "upload"),
    ("verdict", "保存结论", "keep the verdict"),
    ("verify", "核验", "verify"),
    ("version", "新建版本", "make a version"),
    ("withdraw", "撤回", "withdraw"),
    ("withdrawn", "撤回", "withdraw"),
    ("work", "例行工作", "work"),
    ("write", "撰写", "write"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use app::Action;
    use model::basket::BundleKind;
    use model::restricted::UseDeed;
    use model::voice::ticket::Deed;

    use super::*;
    use crate::sources;

    /// Words that the rooms and the gateway write into the audit as they stand in the source.
    fn written() -> BTreeSet<String> {
        let calls = [
            "audit::event(",
            "audit::refused(",
            "audit::refusal(",
            "Tally::new(",
            "record(app, op, ",
            "recorded(app, op, ",
            "written(app, op, ",
            "settled(app, op, ",
            "kept(app, op, ",
            "failed_as(",
        ];
        let mut words = BTreeSet::new();
        for text in sources::texts(&["app", "gateway"]) {
            for call in calls {
                for rest in text.split(call).skip(1) {
                    let rest = rest.split([';', '{', '}']).next().unwrap();
                    let Some(word) = rest.split('"').nth(1) else { continue };
                    let plain = |c: char| c.is_ascii_lowercase() || "._-".contains(c);
                    if word.contains('.') && !word.ends_with(['.', '_']) && word.chars().all(plain)
                    {
                        words.insert(word.to_owned());
                    }
                }
            }
        }
        words
    }

    #[test]
    fn every_action_of_the_audit_has_words_in_both_languages() {
        let mut words = written();
        assert!(words.len() > 200 && words.contains("account.login"), "{words:?}");
        words.extend(Action::ALL.iter().map(|a| a.as_str().to_owned()));
        words.extend(Deed::ALL.iter().map(|d| format!("ticket.{}", d.as_str())));
        words.extend(BundleKind::ALL.iter().map(|k| format!("basket.file_{}", k.as_str())));
        words.extend(UseDeed::ALL.iter().map(|d| format!("restricted.{}", d.as_str())));
        let bare: Vec<_> = words
            .iter()
            .filter(|w| said(w, Lang::Zh).is_none() || said(w, Lang::En).is_none())
            .collect();
        assert!(bare.is_empty(), "no words in `label/audit.rs` for {bare:?}");
    }

    #[test]
    fn a_word_is_told_by_its_thing_and_its_deed() {
        assert_eq!(audit_action("rows.download", Lang::Zh), "数据行：下载");
        assert_eq!(audit_action("rows.download.end", Lang::Zh), "数据行：下载（结束）");
        assert_eq!(audit_action("rows.download", Lang::En), "Rows: download");
        assert_eq!(audit_action("halt.begin", Lang::Zh), "紧急停用：停用");
        assert_eq!(audit_action("unheard.of", Lang::Zh), "unheard.of");
    }
}
