//! How long 300 KiB take from real servers, by transport and window, over a longer way and a lossy one; and what they
//! cost. In real time, all at once, because most of it is waiting: compare the figures of one run with one another.
//!
//! Needs nginx and libcoap's server and client; says so where they are not there, and ends well.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use dfu_testkit::port;
use dfu_testkit::proxy::Proxy;
use fota_connectors::tokio::Net;
use fota_download::coap::{Settings, space};
use fota_download::source::{Error as _, Retry};
use fota_download::{Remote, Source};

const LEN: usize = 300 * 1024;
const ROUND_TRIPS: [u64; 3] = [0, 50, 100];
const LOSSES: [u32; 3] = [0, 2, 5];
/// Of transfers that lose something, the mean of so many is shown.
const TIMES: u64 = 3;

/// A transport, and how many blocks may be on their way.
#[derive(Clone, Copy, PartialEq)]
struct Mode {
    name: &'static str,
    scheme: &'static str,
    window: u8,
}

const MODES: [Mode; 6] = [
    Mode { name: "HTTP", scheme: "http", window: 1 },
    Mode { name: "CoAP over TCP, window 1", scheme: "coap+tcp", window: 1 },
    Mode { name: "CoAP over TCP, window 4", scheme: "coap+tcp", window: 4 },
    Mode { name: "CoAP, window 1", scheme: "coap", window: 1 },
    Mode { name: "CoAP, window 4", scheme: "coap", window: 4 },
    Mode { name: "CoAP, window 8", scheme: "coap", window: 8 },
];

/// The servers, and a folder of theirs.
struct Servers {
    children: Vec<Child>,
    folder: PathBuf,
    web: SocketAddr,
    coap: SocketAddr,
}

impl Servers {
    fn start(file: &[u8]) -> Option<Self> {
        let exists =
            |name: &str| Command::new(name).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        let nginx = ["nginx", "/usr/sbin/nginx"].into_iter().find(|name| exists(name))?;
        if !exists("coap-server-notls") || !exists("coap-client-notls") {
            return None;
        }
        let folder = std::env::temp_dir().join(format!("dfu-speed-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("app.bin"), file).unwrap();
        let [web, coap] = [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, port::free())));
        let at = folder.display();
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log; events {{ }}
            http {{
              access_log off; gzip off; default_type application/octet-stream; root {at};
              client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; fastcgi_temp_path {at}/t3;
              uwsgi_temp_path {at}/t4; scgi_temp_path {at}/t5; server {{ listen {web}; }}
            }}"
        );
        fs::write(folder.join("nginx.conf"), config).unwrap();
        let quiet = |program: &str| {
            let mut command = Command::new(program);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let web_server = quiet(nginx).arg("-p").arg(&folder).arg("-c").arg(folder.join("nginx.conf")).spawn().unwrap();
        let options = ["-A", "127.0.0.1", "-d", "9", "-X", "9000", "-p", &coap.port().to_string()].map(String::from);
        let coap_server = quiet("coap-server-notls").args(options).spawn().unwrap();
        let servers = Self { children: vec![web_server, coap_server], folder, web, coap };
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(web).is_err() || TcpStream::connect(coap).is_err() {
            assert!(Instant::now() < until, "the servers do not start");
            thread::sleep(Duration::from_millis(20));
        }
        let url = format!("coap://{coap}/app.bin");
        let put = ["-m", "put", "-b", "1024", "-f"];
        let put = quiet("coap-client-notls").args(put).arg(servers.folder.join("app.bin")).arg(url).status();
        assert!(put.unwrap().success());
        Some(servers)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Seconds, and bytes that were paid.
type Cost = (f64, f64);

/// Fetches what is missing.
async fn go_on<S: Source>(source: &mut S, came: &mut Vec<u8>) -> Result<(), S::Error> {
    let meta = source.open(came.len() as u32).await?;
    came.truncate(meta.start as usize);
    let mut piece = [0; 4096];
    loop {
        match source.read(&mut piece).await? {
            0 => return Ok(()),
            count => came.extend(&piece[..count]),
        }
    }
}

/// Fetches the file, once.
fn fetch(servers: (SocketAddr, SocketAddr), mode: Mode, round_trip: u64, loss: u32, seed: u64, file: &[u8]) -> Cost {
    let round_trip = Duration::from_millis(round_trip);
    let proxy = match mode.scheme {
        "http" => Proxy::tcp(servers.0, round_trip),
        "coap+tcp" => Proxy::tcp(servers.1, round_trip),
        _ => Proxy::udp(servers.1, round_trip, loss.into(), seed),
    };
    let proxy = proxy.unwrap();
    let url = format!("{}://127.0.0.1:{}/app.bin", mode.scheme, proxy.port());
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let net = Net::new();
    let mut buf = vec![0; space(1024, mode.window).max(2048)];
    let began = Instant::now();
    let (came, paid) = runtime.block_on(async {
        let settings = Settings::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).window(mode.window);
        let mut source = Remote::new(&net, &net, &url, settings, &mut buf).unwrap();
        let mut came = Vec::new();
        for _ in 0..10 {
            match go_on(&mut source, &mut came).await {
                Ok(()) => break,
                Err(error) => assert_eq!(error.retry(), Retry::Later, "{}: {error}", mode.name),
            }
        }
        (came, source.paid())
    });
    assert!(came == file, "{}: another file came", mode.name);
    (began.elapsed().as_secs_f64(), paid.into())
}

fn main() -> ExitCode {
    let file: Vec<u8> = (0..LEN as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let Some(servers) = Servers::start(&file) else {
        println!("left out: nginx or libcoap is not installed");
        return ExitCode::from(if std::env::var_os("DFU_PEERS").is_some() { 1 } else { 0 });
    };
    let places = (servers.web, servers.coap);
    // What is dropped by a lossy way below TCP is the kernels' matter, and the same for all that is above.
    let losses = |mode: Mode| if mode.scheme == "coap" { &LOSSES[..] } else { &LOSSES[..1] };
    let costs: Vec<(Mode, u64, u32, Cost)> = thread::scope(|scope| {
        let mut running = Vec::new();
        for mode in MODES {
            for round_trip in ROUND_TRIPS {
                for &loss in losses(mode) {
                    let times = if loss == 0 { 1 } else { TIMES };
                    let runs: Vec<_> = (1..=times)
                        .map(|seed| {
                            scope.spawn({
                                let file = &file;
                                move || fetch(places, mode, round_trip, loss, seed, file)
                            })
                        })
                        .collect();
                    running.push((mode, round_trip, loss, runs));
                }
            }
        }
        running
            .into_iter()
            .map(|(mode, round_trip, loss, runs)| {
                let times = runs.len() as f64;
                let costs: Vec<Cost> = runs.into_iter().map(|run| run.join().unwrap()).collect();
                let mean = |of: fn(&Cost) -> f64| costs.iter().map(of).sum::<f64>() / times;
                (mode, round_trip, loss, (mean(|cost| cost.0), mean(|cost| cost.1)))
            })
            .collect()
    });
    let of = |mode: Mode, round_trip, loss| {
        costs.iter().find(|cost| (cost.0, cost.1, cost.2) == (mode, round_trip, loss)).map(|cost| cost.3)
    };
    let slowest = MODES[3];
    println!("300 KiB from nginx and libcoap's server; each way loses the same share of its datagrams");
    println!("seconds, times faster than CoAP one block at a time, bytes paid for one of the file");
    print!("{:<26}{:>6}", "", "loss");
    for round_trip in ROUND_TRIPS {
        print!("{:>26}", format!("round trip {round_trip} ms"));
    }
    println!();
    for mode in MODES {
        for &loss in losses(mode) {
            print!("{:<26}{:>6}", mode.name, format!("{loss} %"));
            for round_trip in ROUND_TRIPS {
                let Some((seconds, paid)) = of(mode, round_trip, loss) else { continue };
                let ratio = of(slowest, round_trip, loss).map_or(0.0, |(slowest, _)| slowest / seconds);
                print!("{seconds:>10.2} {ratio:>7.1} x {:>5.3}", paid / LEN as f64);
            }
            println!();
        }
    }
    let _ = std::io::stdout().flush();
    ExitCode::SUCCESS
}
