use super::*;

fn write(disk: &SimDisk, path: &str, bytes: &[u8], sync: bool) {
    let path = Path::new(path);
    let mut file = match disk.open(path, Open::Create) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => disk.open(path, Open::Append).unwrap(),
        Err(e) => panic!("{e}"),
    };
    file.append(bytes).unwrap();
    if sync {
        file.sync().unwrap();
    }
}

/// Runs `setup` on a fresh disk, cuts the power, and gives what `/d/f` then holds, over many seeds.
fn outcomes(setup: impl Fn(&SimDisk)) -> BTreeSet<Option<Vec<u8>>> {
    (0..300)
        .map(|seed| {
            let disk = SimDisk::new();
            disk.create_dir_all(Path::new("/d")).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            setup(&disk);
            disk.power_cut(&mut fastrand::Rng::with_seed(seed));
            disk.read(Path::new("/d/f")).ok()
        })
        .collect()
}

#[test]
fn synced_content_under_a_synced_name_always_survives() {
    let seen = outcomes(|disk| {
        write(disk, "/d/f", b"kept", true);
        disk.sync_dir(Path::new("/d")).unwrap();
    });
    assert_eq!(seen, BTreeSet::from([Some(b"kept".to_vec())]));
}

#[test]
fn a_name_without_a_directory_sync_may_be_lost() {
    let seen = outcomes(|disk| write(disk, "/d/f", b"kept", true));
    assert_eq!(seen, BTreeSet::from([None, Some(b"kept".to_vec())]));
}

#[test]
fn an_unsynced_append_is_kept_lost_or_torn_but_never_what_was_synced_before() {
    let seen = outcomes(|disk| {
        write(disk, "/d/f", b"kept", true);
        disk.sync_dir(Path::new("/d")).unwrap();
        write(disk, "/d/f", &[7; 2000], false);
    });
    assert!(seen.len() > 20, "{}", seen.len());
    assert!(seen.iter().flatten().all(|bytes| bytes.starts_with(b"kept")));
    assert!(seen.contains(&Some(b"kept".to_vec())));
}

#[test]
fn a_rename_over_a_file_leaves_the_old_or_the_new() {
    let seen = outcomes(|disk| {
        write(disk, "/d/f", b"old", true);
        disk.sync_dir(Path::new("/d")).unwrap();
        write(disk, "/d/t", b"new", true);
        disk.rename(Path::new("/d/t"), Path::new("/d/f")).unwrap();
    });
    assert_eq!(seen, BTreeSet::from([Some(b"new".to_vec()), Some(b"old".to_vec())]));
}

#[test]
fn what_a_failed_sync_dropped_is_gone_even_if_a_later_sync_succeeds() {
    let seen = outcomes(|disk| {
        write(disk, "/d/f", b"", true);
        disk.sync_dir(Path::new("/d")).unwrap();
        let mut file = disk.open(Path::new("/d/f"), Open::Append).unwrap();
        file.append(b"xx").unwrap();
        disk.fail_after(0);
        assert!(file.sync().is_err());
        assert_eq!(disk.read(Path::new("/d/f")).unwrap(), b"xx", "still in the page cache");
        file.append(b"yy").unwrap();
        file.sync().unwrap();
    });
    assert_eq!(seen, BTreeSet::from([Some(b"\0\0yy".to_vec())]));
}

#[test]
fn nothing_works_while_the_power_is_off() {
    let disk = SimDisk::new();
    disk.create_dir_all(Path::new("/d")).unwrap();
    let guard = disk.lock(Path::new("/d/lock")).unwrap();
    assert!(disk.lock(Path::new("/d/lock")).is_err());
    disk.cut_after(0);
    assert!(disk.open(Path::new("/d/f"), Open::Create).is_err());
    assert!(disk.is_off());
    assert!(disk.read(Path::new("/d/lock")).is_err());
    disk.power_cut(&mut fastrand::Rng::with_seed(1));
    disk.create_dir_all(Path::new("/d")).unwrap();
    let _again = disk.lock(Path::new("/d/lock")).unwrap();
    drop(guard);
    assert!(disk.lock(Path::new("/d/lock")).is_err(), "a guard from before the cut frees nothing");
}

#[test]
fn a_full_disk_refuses_what_needs_space_and_nothing_else() {
    let disk = SimDisk::new();
    disk.create_dir_all(Path::new("/d")).unwrap();
    write(&disk, "/d/f", b"a", true);
    disk.set_full(true);
    let error = disk.open(Path::new("/d/f"), Open::Append).unwrap().append(b"b").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    disk.remove(Path::new("/d/f")).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stalled_disk_finishes_when_the_stall_ends() {
    let disk = SimDisk::new();
    disk.set_latency(Duration::from_millis(3));
    disk.set_stalled(true);
    let (done, mut finished) = tokio::sync::oneshot::channel();
    let work = tokio::spawn(disk.offload(Box::new(move || done.send(()).unwrap())));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(finished.try_recv().is_err());
    disk.set_stalled(false);
    work.await.unwrap();
    finished.await.unwrap();
}
