//! The ports of the program: open from the first moment to the last, whatever this instance is meanwhile.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::Settings;
use crate::rtmp::Rtmp;
use crate::server::{self, Api, Face, Limits, ToldAddress};

/// A client that does not let go is waited for no longer at the end.
const END_WAIT_MAX: Duration = Duration::from_millis(300);

/// The four HTTP servers, and the RTMP server's port.
pub struct House {
    api: Face,
    websocket: Face,
    metrics: Face,
    health: Face,
    addresses: [SocketAddr; 4],
    rtmp: Option<(SocketAddr, Arc<TcpListener>)>,
    /// Who answers there at the moment.
    at_rtmp: Mutex<Option<Guest>>,
    servers: Vec<JoinHandle<()>>,
    stop: watch::Sender<()>,
    has_told: AtomicBool,
    data_dir: PathBuf,
    /// Where commands on this machine find the API, as long as it is served.
    told: OnceLock<Option<ToldAddress>>,
}

/// What runs until it is sent away.
struct Guest {
    leave: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Guest {
    async fn send_away(self) {
        drop(self.leave);
        drop(timeout(END_WAIT_MAX, self.task).await);
    }
}

/// Done once the sender is gone, or has sent.
async fn until(mut stopped: watch::Receiver<()>) {
    let _gone = stopped.changed().await;
}

impl House {
    /// Opens the ports of the settings, and says on each that the program starts. On RTMP nobody is let in yet.
    ///
    /// # Errors
    /// A port cannot be used.
    pub async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let (stop, stopped) = watch::channel(());
        let limits = Limits {
            connections: settings.max_connections,
        };
        let face = || Face::from(server::starting(None));
        let (api, websocket, metrics, health) = (face(), face(), face(), face());
        let mut servers = Vec::new();
        let mut addresses = [SocketAddr::from(([0, 0, 0, 0], 0)); 4];
        let doors = [
            (settings.port, &api),
            (settings.ws_port, &websocket),
            (settings.metrics_port, &metrics),
            (settings.health_port, &health),
        ];
        for ((port, face), place) in doors.into_iter().zip(&mut addresses) {
            let address = (settings.bind, port).into();
            let served = server::serve(address, face.clone(), limits, until(stopped.clone())).await;
            let (address, server) = served
                .with_context(|| format!("port {port} of {} cannot be used", settings.bind))?;
            servers.push(tokio::spawn(server));
            *place = address;
        }
        let rtmp = match settings.rtmp_port {
            None => None,
            Some(port) => {
                let bound = server::bind((settings.bind, port).into()).await;
                let listener = bound.with_context(|| {
                    format!(
                        "RTMP_PORT {port} of {} cannot be used; another one, or off, does without",
                        settings.bind
                    )
                })?;
                Some((listener.local_addr()?, Arc::new(listener)))
            }
        };
        let house = Self {
            api,
            websocket,
            metrics,
            health,
            addresses,
            rtmp,
            at_rtmp: Mutex::default(),
            servers,
            stop,
            has_told: AtomicBool::new(false),
            data_dir: settings.data_dir.clone(),
            told: OnceLock::new(),
        };
        house.turn_away().await;
        Ok(house)
    }

    /// The port of the health server.
    pub fn health_port(&self) -> u16 {
        let [.., health] = self.addresses;
        health.port()
    }

    /// Serves this on the HTTP ports from now on.
    pub fn show(&self, api: &Api, settings: &Settings) {
        self.api.turn(server::api(api.clone(), &settings.hls_dir()));
        self.websocket.turn(server::websocket(api.clone()));
        self.metrics.turn(server::metrics(api.clone()));
        self.health.turn(server::health(api.clone()));
        self.tell();
    }

    /// Says on the HTTP ports that the program starts.
    pub fn show_start(&self) {
        for face in [&self.api, &self.websocket, &self.metrics, &self.health] {
            face.turn(server::starting(None));
        }
    }

    /// Says on the HTTP ports that the program starts, and on that of health why it gets no further.
    pub fn show_trouble(&self, trouble: Option<&str>) {
        self.show_start();
        self.health.turn(server::starting(trouble));
    }

    /// Lets publishers and players in from now on.
    pub async fn let_in(&self, server: Rtmp) {
        let Some((_, listener)) = &self.rtmp else {
            return;
        };
        let listener = Arc::clone(listener);
        self.host(|stop| tokio::spawn(server.serve(listener, until(stop))))
            .await;
    }

    /// Closes what comes to the RTMP port at once, so that whoever comes tries the instance that leads.
    async fn turn_away(&self) {
        let Some((_, listener)) = &self.rtmp else {
            return;
        };
        let listener = Arc::clone(listener);
        self.host(|stop| {
            tokio::spawn(async move {
                let closing = async {
                    loop {
                        match listener.accept().await {
                            Ok((stream, _)) => drop(stream),
                            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                        }
                    }
                };
                tokio::select! {
                    () = until(stop) => {}
                    () = closing => {}
                }
            })
        })
        .await;
    }

    async fn host(&self, begin: impl FnOnce(watch::Receiver<()>) -> JoinHandle<()>) {
        let mut at_rtmp = self.at_rtmp.lock().await;
        if let Some(guest) = at_rtmp.take() {
            guest.send_away().await;
        }
        let (leave, left) = watch::channel(());
        *at_rtmp = Some(Guest {
            leave,
            task: begin(left),
        });
    }

    /// Says once in the log where the program listens.
    pub fn tell(&self) {
        if self.has_told.swap(true, Relaxed) {
            return;
        }
        // Only now, that DATA_DIR is known to be this program's alone.
        let [api, ..] = self.addresses;
        self.told
            .get_or_init(|| server::tell_address(&self.data_dir, api));
        let [api, websocket, metrics, health] = self.addresses.map(url);
        let rtmp = self.rtmp.as_ref().map_or_else(
            || "off".to_owned(),
            |(address, _)| format!("rtmp://{}/live/program", host(*address)),
        );
        tracing::info!(%api, %websocket, %metrics, %health, %rtmp, "listening");
    }

    /// Lets everybody go.
    pub async fn close(self) {
        drop(self.stop);
        let guest = self.at_rtmp.into_inner();
        if let Some(guest) = guest {
            guest.send_away().await;
        }
        for server in self.servers {
            drop(timeout(END_WAIT_MAX, server).await);
        }
    }
}

/// Where a browser on this machine finds a server.
fn url(address: SocketAddr) -> String {
    format!("http://{}", host(address))
}

fn host(address: SocketAddr) -> String {
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}
