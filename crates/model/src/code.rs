//! Code lists of the catalogue, stored by their Chinese names' English words, shown in Chinese and English.
//!
//! Sources: 浙江省公共数据条例 art 22, 27 (share and open attributes), DB33/T 2351-2021 (grades L1–L4), and the
//! national/provincial catalogue's lists. National wording (有条件/不予) is an alias of the province's (受限/不共享).

macro_rules! code_list {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal, $zh:literal, $en:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $(#[serde(rename = $word)] $variant),* }
        impl $name {
            pub const ALL: &'static [$name] = &[$($name::$variant),*];
            /// The word stored and sent.
            #[must_use] pub fn as_str(self) -> &'static str { match self { $($name::$variant => $word),* } }
            /// Shown in Chinese.
            #[must_use] pub fn zh(self) -> &'static str { match self { $($name::$variant => $zh),* } }
            /// Shown in English.
            #[must_use] pub fn en(self) -> &'static str { match self { $($name::$variant => $en),* } }
            /// Reads the stored word, the Chinese or the English name.
            #[must_use] pub fn parse(text: &str) -> Option<Self> {
                let text = text.trim();
                Self::ALL.iter().copied().find(|v| v.as_str() == text || v.zh() == text || v.en().eq_ignore_ascii_case(text))
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }
    };
}
pub(crate) use code_list;

code_list! {
    /// 共享属性, 条例 art 22/23.
    ShareType {
        Unconditional = "unconditional", "无条件共享", "Unconditional";
        Restricted = "restricted", "受限共享", "Restricted";
        None = "none", "不共享", "Not shared";
    }
}
code_list! {
    /// 开放属性, 条例 art 27.
    OpenType {
        Unconditional = "unconditional", "无条件开放", "Unconditional";
        Restricted = "restricted", "受限开放", "Restricted";
        None = "none", "禁止开放", "Not open";
    }
}
code_list! {
    /// 安全级别, DB33/T 2351-2021.
    Grade {
        L1 = "L1", "L1 不敏感", "L1 not sensitive";
        L2 = "L2", "L2 低敏感", "L2 low";
        L3 = "L3", "L3 较敏感", "L3 sensitive";
        L4 = "L4", "L4 敏感", "L4 highly sensitive";
    }
}
code_list! {
    /// 更新周期 (the Chinese name is what other platforms exchange).
    UpdateCycle {
        RealTime = "real_time", "实时", "Real time";
        Daily = "daily", "每日", "Daily";
        Weekly = "weekly", "每周", "Weekly";
        Monthly = "monthly", "每月", "Monthly";
        Quarterly = "quarterly", "每季度", "Quarterly";
        HalfYearly = "half_yearly", "每半年", "Half-yearly";
        Yearly = "yearly", "每年", "Yearly";
        Irregular = "irregular", "不定期", "Irregular";
        Never = "never", "不更新", "Not updated";
        Other = "other", "其他", "Other";
    }
}
code_list! {
    /// 资源形态 (a resource is offered as table, interface or file).
    ResourceKind {
        Table = "table", "库表", "Table";
        Api = "api", "接口", "Interface";
        File = "file", "文件", "File";
    }
}
code_list! {
    /// 数据层级 of the catalogue (facts of the national/provincial schema: 1 国家 2 省 3 市 4 县).
    DataLevel {
        National = "national", "国家级", "National";
        Province = "province", "省级", "Province";
        City = "city", "市级", "City";
        County = "county", "县（区）级", "County";
    }
}
code_list! {
    /// 数据范围: which part of its level's territory the data cover.
    DataRange {
        Whole = "whole", "全市", "Whole city";
        Direct = "direct", "市直", "City departments";
        District = "district", "区县", "Districts and counties";
    }
}
code_list! {
    /// 提供渠道: the network the provider hands the data over by.
    ProviderChannel {
        Government = "government", "政务外网", "Government extranet";
        Internet = "internet", "互联网", "Internet";
        Private = "private", "部门私有网络", "Department's own network";
    }
}
code_list! {
    /// 加工程度 (sjjgcd; the same five as GB/T 43697-2024 annex I, and others).
    ProcessingLevel {
        Raw = "01", "原始数据", "Raw";
        Masked = "02", "脱敏数据", "Masked";
        Label = "03", "标签数据", "Labels";
        Statistic = "04", "统计数据", "Statistics";
        Fused = "05", "融合数据", "Fused";
        Other = "0", "其他", "Other";
    }
}
code_list! {
    /// 共享方式: by what way shared data are handed over.
    SharedMode {
        Platform = "platform", "共享平台", "Sharing platform";
        Mail = "mail", "邮件", "Mail";
        Medium = "medium", "介质", "Medium";
    }
}
code_list! {
    /// 库表类型: as it lies in the source, or brought to the standard.
    TableType {
        Source = "source", "贴源表", "As in the source";
        Standard = "standard", "标准表", "Standardised";
    }
}
code_list! {
    /// 应用场景分类.
    AppScene {
        Service = "service", "政务服务", "Government service";
        Public = "public", "公共服务", "Public service";
        Supervision = "supervision", "监管", "Supervision";
        Other = "other", "其他", "Other";
    }
}
code_list! {
    /// 数据对象 (the schema's bit mask 1 人 2 地 4 事 8 物 16 组织 32 其他, as a list).
    DataKind {
        Person = "person", "人", "Persons";
        Place = "place", "地", "Places";
        Matter = "matter", "事", "Matters";
        Thing = "thing", "物", "Things";
        Organisation = "organisation", "组织", "Organisations";
        Other = "other", "其他", "Other";
    }
}
code_list! {
    /// 开放方式 of restricted-open data.
    OpenLevel {
        RealName = "real_name", "实名认证开放", "After real-name sign-in";
        Review = "review", "审核开放", "After review";
    }
}
code_list! {
    /// 来源系统类别 of an item.
    SystemLevel {
        Own = "own", "自建自用", "Own system";
        National = "national", "国直（统建）", "National system";
        Province = "province", "省直（统建）", "Provincial system";
        City = "city", "市直（统建）", "City system";
        County = "county", "县直（统建）", "County system";
    }
}
code_list! {
    /// 数据领域, the 27 domains of the national/provincial catalogue code list (code = position).
    Domain {
        Vaccine = "01", "新冠疫苗", "COVID-19 vaccines";
        Science = "02", "科技创新", "Science and innovation";
        Trade = "03", "商贸流通", "Trade and circulation";
        Relief = "04", "社会救助", "Social relief";
        Housing = "05", "城建住房", "Urban construction and housing";
        Education = "06", "教育文化", "Education and culture";
        Industry = "07", "工业农业", "Industry and agriculture";
        Bodies = "08", "机构团体", "Organisations";
        Geo = "09", "地理空间", "Geospatial";
        Energy = "10", "资源能源", "Resources and energy";
        Market = "11", "市场监管", "Market regulation";
        Living = "12", "生活服务", "Daily services";
        Ecology = "13", "生态环境", "Ecology and environment";
        Traffic = "14", "交通运输", "Transport";
        Safety = "15", "安全生产", "Work safety";
        Employment = "16", "社保就业", "Social security and employment";
        Health = "17", "医疗卫生", "Health";
        Credit = "18", "信用服务", "Credit";
        PublicSafety = "19", "公共安全", "Public safety";
        Finance = "20", "财税金融", "Finance and tax";
        Weather = "21", "气象", "Weather";
        Law = "22", "法律", "Law";
        Epidemic = "23", "疫情防控", "Epidemic control";
        Inclusive = "24", "普惠金融", "Inclusive finance";
        Business = "25", "营商环境", "Business environment";
        YellowRiver = "26", "黄河流域", "Yellow River basin";
        Other = "27", "其它", "Other";
    }
}
code_list! {
    /// 目录发布状态 (publish part of the entry's state machine).
    PublishState {
        Unpublished = "unpublished", "未发布", "Unpublished";
        PubAuditing = "pub-auditing", "发布审核中", "Publish review";
        Published = "published", "已发布", "Published";
        PubReject = "pub-reject", "发布驳回", "Publish rejected";
        ChangeAuditing = "change-auditing", "变更审核中", "Change review";
        ChangeReject = "change-reject", "变更驳回", "Change rejected";
    }
}
code_list! {
    /// 上下线状态.
    OnlineState {
        Notline = "notline", "未上线", "Not online";
        UpAuditing = "up-auditing", "上线审核中", "Online review";
        Online = "online", "已上线", "Online";
        UpReject = "up-reject", "上线驳回", "Online rejected";
        DownAuditing = "down-auditing", "下线审核中", "Offline review";
        DownReject = "down-reject", "下线驳回", "Offline rejected";
        Offline = "offline", "已下线", "Offline";
        OfflineUpAuditing = "offline-up-auditing", "重新上线审核中", "Re-online review";
        OfflineUpReject = "offline-up-reject", "重新上线驳回", "Re-online rejected";
    }
}
code_list! {
    /// 数据类型 of an item (DB33/T 2426-2022 数据类型), as the platform stores it.
    DataType {
        Text = "text", "字符型", "Text";
        Integer = "integer", "整数型", "Integer";
        Decimal = "decimal", "小数型", "Decimal";
        Float = "float", "浮点型", "Float";
        Boolean = "boolean", "布尔型", "Boolean";
        Date = "date", "日期型", "Date";
        DateTime = "datetime", "日期时间型", "Date and time";
        Geometry = "geometry", "空间型", "Geometry";
        Json = "json", "结构型", "JSON";
    }
}
code_list! {
    /// How a collection brings rows: all anew, or changes merged by business key.
    SyncMode {
        Full = "full", "全量", "Full";
        Incremental = "incremental", "增量", "Incremental";
    }
}
