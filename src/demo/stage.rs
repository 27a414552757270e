//! What the demo is played on: two clusters with the same shop, a folder, and the proxy between them and the load.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::task::spawn_blocking;
use tokio_postgres::{Client, NoTls};

use super::{Cluster, Options, Proxy, Setup};

const SHOP: &str = include_str!("shop.sql");
/// The database of both sides.
const DATABASE: &str = "postgres";
/// Rounds of the checker come when the story asks for one, so that what each found can be told.
const SETTINGS: &str = "[check]\ninterval = \"0s\"\n";

/// Dropped in this order: proxy, servers, folder. Nothing of it outlives the value.
pub(super) struct Stage {
    pub(super) proxy: Proxy,
    pub(super) primary: Cluster,
    pub(super) shadow: Cluster,
    _folder: Folder,
}

impl Stage {
    /// Builds everything. Not to be cancelled: servers that are starting would not be stopped.
    pub(super) async fn build() -> anyhow::Result<Self> {
        let folder = Folder::make()?;
        let templates = folder.0.join("templates");
        let (primary, shadow) = spawn_blocking(move || start_clusters(templates)).await??;
        for cluster in [&primary, &shadow] {
            let client = connect(&cluster.url(DATABASE)).await?;
            client.batch_execute(SHOP).await.context("loading the shop")?;
        }
        let setup = Setup {
            executable: std::env::current_exe().context("looking for the crossfade executable")?,
            folder: folder.0.clone(),
            primary: primary.url(DATABASE),
            shadow: shadow.url(DATABASE),
            listen: String::new(),
            settings: SETTINGS.to_owned(),
        };
        let proxy = Proxy::start(setup).await?;
        Ok(Self { proxy, primary, shadow, _folder: folder })
    }

    /// Where the load goes.
    pub(super) fn url(&self) -> String {
        self.proxy.url(DATABASE)
    }

    /// Straight to one side.
    pub(super) async fn direct(&self, side: &Cluster) -> anyhow::Result<Client> {
        connect(&side.url(DATABASE)).await
    }
}

/// A connection whose driver ends with it.
pub(super) async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.with_context(|| format!("connecting to {url}"))?;
    // Its errors come back through the client's calls.
    tokio::spawn(connection);
    Ok(client)
}

fn start_clusters(templates: PathBuf) -> anyhow::Result<(Cluster, Cluster)> {
    let options = Options { template_cache: Some(templates), ..Options::default() };
    let primary = Cluster::start(&options).context("starting the primary")?;
    let shadow = Cluster::start(&options).context("starting the shadow")?;
    Ok((primary, shadow))
}

/// A temporary folder that goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn make() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("crossfade-demo-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path) {
        eprintln!("could not remove {}: {error}", path.display());
    }
}
