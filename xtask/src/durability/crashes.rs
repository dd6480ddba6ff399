//! P1, P2, P4, P16: the same writers under `kill -9`, power cuts and SIGTERM.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use fastrand::Rng;
use tokio::time::sleep;

use super::load::{Instant, Load};
use super::mounts::{Image, PowerSwitch};
use super::proof::Trial;
use super::report::{Row, Tally};
use super::scene::{READY_MAX, Scene, Start, TRANSPORT};
use super::server::Server;

/// The grace time of the server, its time to roll back, and a second for what is around them.
pub(super) const STOP_MAX: Duration = Duration::from_secs(8);

/// One start in so many is hit, too, before or while the server recovers.
const START_HIT_ONE_IN: u32 = 16;

/// What hits the server.
#[derive(Debug)]
pub(super) enum Blow {
    Kill,
    /// The disk stops as it is, under a server that goes on; then the server is killed and the disk mounted anew.
    Cut(Image, PowerSwitch),
    Terminate,
}

/// A proof by crashing again and again.
#[derive(Debug)]
pub(super) struct Storm {
    trial: Trial,
}

impl Storm {
    pub(super) fn new(trial: Trial) -> Self {
        Self { trial }
    }

    /// Strikes, and after each time looks at everything. Ends at the first finding: what the store was found to be is
    /// kept.
    pub(super) async fn rage(&self, mut blow: Blow) -> Result<Tally> {
        let Trial { program, folder, rounds, crowd, seed } = &self.trial;
        let mut rng = Rng::with_seed(*seed);
        let data = match &blow {
            Blow::Cut(image, _) => image.mounted_at().join("store"),
            Blow::Kill | Blow::Terminate => folder.join("store"),
        };
        let mut server = program.serve(&data, TRANSPORT)?;
        let mut scene = Scene::set_up(&data, &server, &folder.join("local"), *crowd, &mut rng).await?;
        let (mut tally, mut stopped_in) = (Tally::default(), Duration::ZERO);
        while tally.n < *rounds && tally.failures.is_empty() {
            let instant = Instant::random(&mut rng);
            let load = Arc::new(Load::new(&server, instant));
            let strike = || strike(&mut blow, server, &load, instant);
            let (took, mut found) = scene.work(load.clone(), strike).await?;
            stopped_in = stopped_in.max(took);
            tally.n += 1;
            if rng.u32(..START_HIT_ONE_IN) == 0 {
                self.hit_a_start(&mut blow, &data, &mut rng).await?;
                tally.n += 1;
            }
            server = program.serve(&data, TRANSPORT)?;
            found.extend(scene.verify(&server).await?);
            found.retain(|finding| self.trial.counts(finding));
            tally.failures.extend(found.into_iter().map(|finding| format!("round {}: {finding}", tally.n)));
            tally.log_progress(*rounds);
        }
        server.kill()?;
        tally.notes.push(format!("{} operations acknowledged", scene.acknowledged));
        if let Blow::Kill | Blow::Cut(..) = blow {
            tally.notes.push(format!("{} uploads resumed, {} stored by digest alone", scene.resumed, scene.reused));
            if self.trial.program.sabotage.is_none() && scene.reused == 0 {
                tally.failures.push("nothing was stored by its digest alone: that is not under proof".to_owned());
            }
        } else {
            tally.notes.push(format!("stopped in {stopped_in:.2?} at most"));
            if stopped_in > STOP_MAX {
                tally.failures.push(format!("stopped only after {stopped_in:?}"));
            }
        }
        tally.also = matches!(blow, Blow::Kill).then(|| ready(scene.starts, *crowd));
        Ok(tally)
    }

    /// Starts a server and hits it before it can have got far.
    async fn hit_a_start(&self, blow: &mut Blow, data: &Path, rng: &mut Rng) -> Result<()> {
        let mut child = self.trial.program.spawn(data, TRANSPORT)?;
        sleep(Duration::from_micros(rng.u64(..30_000))).await;
        if let Blow::Cut(_, switch) = blow {
            switch.cut(data.parent().context("mounted")?)?;
        }
        child.kill()?;
        child.wait()?;
        if let Blow::Cut(image, _) = blow {
            image.mount_anew()?;
        }
        Ok(())
    }
}

/// P4, which every start after a kill is a try of.
fn ready(mut starts: Vec<Start>, crowd: usize) -> Row {
    starts.sort_unstable();
    let slow = starts.iter().filter(|start| start.ready > READY_MAX);
    let failures = slow.map(|start| format!("ready only after {:.2?}", start.ready)).collect();
    let note = starts.last().map(|slowest| {
        let (median, Start { ready, listening }) = (starts[starts.len() / 2].ready, slowest);
        format!("a login answered in {median:.2?} (median), {ready:.2?} at most, {listening:.2?} of it to listen")
    });
    let how = format!("start after each kill, {crowd} files stored");
    Row { promise: "P4", how, n: starts.len() as u64, failures, notes: note.into_iter().collect() }
}

/// Waits for the instant and strikes; gives how long an orderly stop took.
async fn strike(blow: &mut Blow, server: Server, load: &Load, instant: Instant) -> Result<Duration> {
    load.wait(instant).await;
    match blow {
        Blow::Kill => server.kill().map(|()| Duration::ZERO),
        Blow::Cut(image, switch) => {
            switch.cut(image.mounted_at())?;
            server.kill()?;
            image.mount_anew()?;
            Ok(Duration::ZERO)
        }
        Blow::Terminate => {
            let (status, took) = server.terminate().await?;
            anyhow::ensure!(status.code() == Some(0), "SIGTERM ended the server with {status}");
            Ok(took)
        }
    }
}
