//! Calls one granted resource. The secret comes from the environment: `QT_SECRET=… cargo run`

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

const HOST: &str = "@HOST@";
const PATH: &str = "@PATH@";
const QUERY: &str = "@QUERY@";
const KEY: &str = "@KEY@";

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let secret = std::env::var("QT_SECRET")?;
    println!("{}", call(HOST, PATH, QUERY, KEY, &secret).await?);
    Ok(())
}

/// Signs and sends one call; answers the body.
pub(crate) async fn call(
    host: &str,
    path: &str,
    query: &str,
    key: &str,
    secret: &str,
) -> Result<String, Failure> {
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().to_string();
    let nonce = format!("{:032x}", rand::random::<u128>());
    // What is signed is the query as it is sent: Chinese and the like percent-encoded.
    let url = reqwest::Url::parse(&format!("{host}{path}?{query}"))?;
    let body_hash = hex::encode(Sha256::digest(b""));
    let text =
        ["GET", path, url.query().unwrap_or_default(), &body_hash, &timestamp, &nonce].join("\n");
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(text.as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    let answer = reqwest::Client::new()
        .get(url)
        .header("X-Qt-Key", key)
        .header("X-Qt-Timestamp", timestamp)
        .header("X-Qt-Nonce", nonce)
        .header("X-Qt-Algorithm", "HMAC-SHA256")
        .header("X-Qt-Signature", signature)
        .send()
        .await?;
    let status = answer.status();
    let body = answer.text().await?;
    if !status.is_success() {
        return Err(format!("{status} {body}").into());
    }
    Ok(body)
}
