//! A delivery in the demo: what the service team is granted for batch use comes into a folder of its own every night, and once at
//! the first start. Every step goes through the rooms, by the person who may do it.

use app::{App, delivery};
use model::code::SyncMode;
use model::delivery::{DeliveryKind, DeliveryNew, DeliveryPace, DeliveryPlan};
use model::{Error, Result};
use serde::Serialize;

use crate::seed::op_of;

/// A delivery as the ready file names it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DemoDelivery {
    id: String,
    request: String,
}

/// Makes and publishes the delivery, once.
pub(crate) async fn delivery(app: &App) -> Result<()> {
    let consumer = op_of(app, "consumer").await?;
    if !delivery::list(app, &consumer, None, None, 1).await?.items.is_empty() {
        return Ok(());
    }
    let offers = delivery::offers(app, &consumer, None, 50).await?.items;
    let Some(offer) = offers.into_iter().find(|o| o.fault.is_none()) else { return Ok(()) };
    let place = app.folders.exchange.join("bianmin");
    std::fs::create_dir_all(&place).map_err(|e| Error::internal("demo folder").caused_by(e))?;
    let new = DeliveryNew {
        request: offer.request,
        kind: DeliveryKind::Folder,
        source: String::new(),
        place: place.to_string_lossy().into_owned(),
        table: String::new(),
        items: Vec::new(),
        area: String::new(),
        purpose: String::new(),
        mode: SyncMode::Incremental,
        plan: DeliveryPlan {
            pace: DeliveryPace::Period,
            at: String::new(),
            cron: "30 2 * * *".to_owned(),
            workdays: false,
        },
    };
    let made = delivery::create(app, &consumer, &new).await?.delivery.id;
    delivery::resume(app, &consumer, &made).await?;
    delivery::run(app, &consumer, &made).await
}

/// The deliveries of the service team, for the ready file.
pub(crate) async fn listed(app: &App) -> Result<Vec<DemoDelivery>> {
    let consumer = op_of(app, "consumer").await?;
    let known = delivery::list(app, &consumer, None, None, 50).await?.items;
    let named = |view: delivery::DeliveryView| DemoDelivery {
        id: view.delivery.id,
        request: view.delivery.request,
    };
    Ok(known.into_iter().map(named).collect())
}
