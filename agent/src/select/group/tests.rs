//! Paths of control groups as they are found on hosts, and what they tell.

use proptest::prelude::*;

use super::*;

/// A container, wherever `ID` stands.
const ID: &str = "2d3f5a7b9c1e4f608a2b4c6d8e0f1a3b5c7d9e1f2a4b6c8d0e2f4a6b8c0d1e3f";
const OTHER: &str = "aaaabbbbccccddddeeeeffff0000111122223333444455556666777788889999";
/// A pod, as in labels; `POD_` stands for it with `_`.
const POD: &str = "0f3a1b2c-4d5e-6f70-8192-a3b4c5d6e7f8";
const STATIC_POD: &str = "0f3a1b2c4d5e6f708192a3b4c5d6e7f8";

fn real(path: &str) -> String {
    let id = path.replace("OTHER", OTHER).replace("STATIC", STATIC_POD).replace("ID", ID);
    id.replace("POD_", &POD.replace('-', "_")).replace("POD", POD)
}

#[test]
fn paths_of_systemd_and_of_every_container_runtime_are_understood() {
    // Path, unit, container, pod.
    let cases = [
        ("/", "", "", ""),
        ("/init.scope", "init.scope", "", ""),
        ("/system.slice/nginx.service", "nginx.service", "", ""),
        ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", "", ""),
        ("/system.slice/my\\x2dapp.service/worker", "my\\x2dapp.service", "", ""),
        ("/system.slice/_cpu.service", "cpu.service", "", ""),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope", "", ""),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox.service",
            "app-firefox.service",
            "",
            "",
        ),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", "init.scope", "", ""),
        ("/machine.slice/systemd-nspawn@web.service/payload", "systemd-nspawn@web.service", "", ""),
        // Docker: systemd's driver, its own driver, rootless, systemd inside, docker in docker.
        ("/system.slice/docker-ID.scope", "docker-ID.scope", "ID", ""),
        ("/docker/ID", "", "ID", ""),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope",
            "docker-ID.scope",
            "ID",
            "",
        ),
        ("/system.slice/docker-ID.scope/system.slice/nginx.service", "docker-ID.scope", "ID", ""),
        ("/docker/OTHER/docker/ID", "", "ID", ""),
        ("/system.slice/docker.service", "docker.service", "", ""),
        // Podman: systemd's driver, with crun's group inside, in a pod, its own driver; conmon beside it.
        ("/machine.slice/libpod-ID.scope", "libpod-ID.scope", "ID", ""),
        ("/machine.slice/libpod-ID.scope/container", "libpod-ID.scope", "ID", ""),
        ("/machine.slice/machine-libpod_pod_OTHER.slice/libpod-ID.scope", "libpod-ID.scope", "ID", ""),
        ("/libpod_parent/libpod-ID", "", "ID", ""),
        ("/machine.slice/libpod-conmon-ID.scope", "libpod-conmon-ID.scope", "", ""),
        // containerd under Kubernetes: systemd's driver for each class, its own driver, a driver that is set wrongly.
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podPOD_.slice/cri-containerd-ID.scope",
            "cri-containerd-ID.scope",
            "ID",
            "POD",
        ),
        (
            "/kubepods.slice/kubepods-podPOD_.slice/cri-containerd-ID.scope",
            "cri-containerd-ID.scope",
            "ID",
            "POD",
        ),
        ("/kubepods/besteffort/podPOD/ID", "", "ID", "POD"),
        ("/kubepods/podPOD/ID/child", "", "ID", "POD"),
        (
            "/system.slice/containerd.service/kubepods-burstable-podPOD_.slice:cri-containerd:ID",
            "containerd.service",
            "ID",
            "POD",
        ),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podSTATIC.slice/cri-containerd-ID.scope",
            "cri-containerd-ID.scope",
            "ID",
            "STATIC",
        ),
        // Of the pod, but of no container yet.
        ("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podPOD_.slice", "", "", "POD"),
        // CRI-O: both drivers, with a group inside; conmon beside it.
        (
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podPOD_.slice/crio-ID.scope/container",
            "crio-ID.scope",
            "ID",
            "POD",
        ),
        ("/kubepods/burstable/podPOD/crio-ID", "", "ID", "POD"),
        ("/kubepods/burstable/podPOD/crio-conmon-ID", "", "", "POD"),
        // kind: Kubernetes inside a container.
        (
            "/docker/OTHER/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podPOD_.slice/cri-containerd-ID.scope",
            "",
            "ID",
            "POD",
        ),
        ("/docker/OTHER/kubelet/kubepods/burstable/podPOD/ID", "", "ID", "POD"),
        // nerdctl, ECS, a group outside of the reader's root.
        ("/default/ID", "", "ID", ""),
        ("/system.slice/nerdctl-ID.scope", "nerdctl-ID.scope", "ID", ""),
        ("/ecs/0123456789abcdef0123456789abcdef/ID", "", "ID", ""),
        ("/../../kubepods/burstable/podPOD/ID", "", "ID", "POD"),
        // None of these.
        ("/docker/buildkit/hm2v8x2x0k5k4u9a", "", "", ""),
        ("/system.slice/ID.slice", "", "", ""),
        ("/podPOD/x", "", "", ""),
        ("/system.slice/.service", "", "", ""),
        ("/system.slice/a b.service", "", "", ""),
        ("/kubepods/pod0f3a1b2c_4d5e/x", "", "", ""),
    ];
    for (path, unit, container, pod) in cases {
        let some = |text: &str| (!text.is_empty()).then(|| real(text));
        let path = real(path);
        let expected =
            Group { path: path.clone(), unit: some(unit), container: some(container), pod: some(pod) };
        assert_eq!(Group::of_path(&path), expected, "{path}");
    }
}

#[test]
fn the_hierarchy_that_tells_most_is_believed() {
    // File, path, unit, has a container.
    let cases = [
        ("0::/system.slice/nginx.service\n", "/system.slice/nginx.service", "nginx.service", false),
        ("0::/docker/ID (deleted)\n", "/docker/ID", "", true),
        // Version 1, also where version 2 is mounted and not used.
        ("4:memory:/docker/ID\n1:name=systemd:/docker/ID\n", "/docker/ID", "", true),
        (
            "4:memory:/docker/ID\n1:name=systemd:/system.slice/a.service\n0::/\n",
            "/system.slice/a.service",
            "a.service",
            true,
        ),
        ("2:cpu,cpuacct:/a:b\n0::/\n", "/a:b", "", false),
        (
            "12:pids:/\n0::/system.slice/b.service\n1:name=systemd:/c.service\n",
            "/system.slice/b.service",
            "b.service",
            false,
        ),
        ("", "/", "", false),
        ("garbage\n0:\n0::relative\n", "/", "", false),
    ];
    for (file, path, unit, has_container) in cases {
        let group = Group::of_file(real(file).as_bytes());
        let seen = (group.path.as_str(), group.unit.as_deref(), group.container.as_deref());
        let unit = (!unit.is_empty()).then_some(unit);
        assert_eq!(seen, (real(path).as_str(), unit, has_container.then_some(ID)), "{file}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_some_group(bytes in proptest::collection::vec(any::<u8>(), 0..300), path in "[/a-f0-9_.:podservicekubepods-]{0,200}") {
        let group = Group::of_file(&bytes);
        prop_assert!(group.path.starts_with('/'), "{:?}", group);
        let group = Group::of_path(&path);
        prop_assert_eq!(&group.path, &path);
        prop_assert!(group.container.is_none_or(|id| path.contains(&id)));
    }
}
