import { describe, expect, test } from 'vitest';
import {
  locateCgroup,
  parseCpuV1,
  parseCpuV2,
  parseMemoryV1,
  parseMemoryV2,
  parseNetworkCounters,
} from '../../runner/engine/cgroup.ts';

// Version 1: the files' form as read on Debian 12 with Docker 20.10, with some numbers changed so that they tell fields apart.
// Version 2 and the interfaces: written after the kernel's documentation, not recorded; replace them by a recording.
const id = '9398e5e2d99acfabba7c47ae76944a3cdeb6a137f74ed117ec229532bc0af666';
const mountsV1 = [
  '26 25 0:30 / /sys/fs/cgroup/cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpuacct',
  '27 25 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:10 - cgroup cgroup rw,cpu',
  '28 25 0:32 / /sys/fs/cgroup/memory rw,relatime shared:11 - cgroup cgroup rw,memory',
  '29 25 0:36 / /sys/fs/cgroup/pids rw,relatime shared:12 - cgroup cgroup rw,pids',
  '30 25 0:38 / /sys/fs/cgroup/unified rw,relatime shared:13 - cgroup2 cgroup2 rw',
].join('\n');
const membershipV1 = `9:name=systemd:/docker/${id}\n8:pids:/docker/${id}\n4:memory:/docker/${id}\n2:cpuacct:/docker/${id}\n1:cpu:/docker/${id}\n0::/docker/${id}\n`;

describe('where a container’s cgroup is', () => {
  test('version 1, each controller in its own hierarchy', () => {
    expect(locateCgroup(membershipV1, mountsV1)).toEqual({
      version: 1,
      cpu: `/sys/fs/cgroup/cpu/docker/${id}`,
      cpuAccounting: `/sys/fs/cgroup/cpuacct/docker/${id}`,
      memory: `/sys/fs/cgroup/memory/docker/${id}`,
      pids: `/sys/fs/cgroup/pids/docker/${id}`,
    });
  });

  test('version 1 with cpu and cpuacct in one', () => {
    const mounts =
      '27 25 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n28 25 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n29 25 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids';
    const paths = locateCgroup('4:cpu,cpuacct:/x\n3:memory:/x\n2:pids:/x\n', mounts);
    expect(paths).toMatchObject({ cpu: '/sys/fs/cgroup/cpu,cpuacct/x', cpuAccounting: '/sys/fs/cgroup/cpu,cpuacct/x' });
  });

  test('the system’s own mounts count, whatever another program mounts of it for a moment', () => {
    const more = '900 25 0:32 / /var/run/.criu.cgyard.x/memory rw - cgroup cgroup rw,memory';
    expect(locateCgroup(membershipV1, `${mountsV1}\n${more}`)).toEqual(locateCgroup(membershipV1, mountsV1));
  });

  test('version 2, one directory for all', () => {
    const path = `/system.slice/docker-${id}.scope`;
    const paths = locateCgroup(
      `0::${path}\n`,
      '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n',
    );
    expect(paths).toEqual({
      version: 2,
      ...Object.fromEntries(['cpu', 'cpuAccounting', 'memory', 'pids'].map((name) => [name, `/sys/fs/cgroup${path}`])),
    });
  });

  test('a missing controller is an error, not a wrong directory', () => {
    expect(() => locateCgroup('2:cpuacct:/x\n1:memory:/x\n', mountsV1)).toThrow('no cgroup controller cpu');
  });
});

describe('usage', () => {
  test('version 1 CPU', () => {
    expect(parseCpuV1('22463856\n', '50000\n', '100000\n')).toEqual({ usedSeconds: 0.022463856, limitCpus: 0.5 });
    expect(parseCpuV1('22463856\n', '-1\n', '100000\n').limitCpus).toBeUndefined();
  });

  test('version 2 CPU', () => {
    const stat =
      'usage_usec 1523067\nuser_usec 1103000\nsystem_usec 420067\nnr_periods 12\nnr_throttled 3\nthrottled_usec 5003\n';
    expect(parseCpuV2(stat, '200000 100000\n')).toEqual({ usedSeconds: 1.523067, limitCpus: 2 });
    expect(parseCpuV2(stat, 'max 100000\n').limitCpus).toBeUndefined();
  });

  test('version 1 memory leaves out file cache that can go, and knows "no limit"', () => {
    const stat =
      'cache 110592\ntotal_cache 163840\nrss 98304\ninactive_file 0\nhierarchical_memory_limit 268435456\ntotal_inactive_file 53248\ntotal_active_file 110592\n';
    expect(parseMemoryV1('753664\n', stat, '4079616\n', '268435456\n')).toEqual({
      usedBytes: 700416,
      cacheBytes: 163840,
      peakBytes: 4079616,
      limitBytes: 268435456,
    });
    expect(parseMemoryV1('1\n', stat, '2\n', '9223372036854771712\n')).toMatchObject({
      usedBytes: 0,
      cacheBytes: 163840,
      limitBytes: undefined,
    });
  });

  test('version 2 memory, with and without a peak', () => {
    const stat = 'anon 1200128\nfile 3055616\ninactive_file 1015808\nactive_file 2039808\n';
    expect(parseMemoryV2('5431296\n', stat, '9000000\n', '536870912\n')).toEqual({
      usedBytes: 4415488,
      cacheBytes: 3055616,
      peakBytes: 9000000,
      limitBytes: 536870912,
    });
    expect(parseMemoryV2('5431296\n', stat, undefined, 'max\n')).toMatchObject({
      peakBytes: undefined,
      limitBytes: undefined,
    });
  });

  test('network counters sum all interfaces but loopback', () => {
    const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     500       5    0    0    0     0          0         0      500       5    0    0    0     0       0          0
  eth0: 9504575    6021    0    0    0     0          0         0    16766     102    0    0    0     0       0          0
  eth1:      25       1    0    0    0     0          0         0       34       1    0    0    0     0       0          0
`;
    expect(parseNetworkCounters(text)).toEqual({ receivedBytes: 9504600, sentBytes: 16800 });
  });

  test('text that is no number is an error, never zero', () => {
    expect(() => parseCpuV1('', '-1', '100000')).toThrow('not a whole number');
    expect(() => parseMemoryV2('1', 'anon 3\n', undefined, 'max')).toThrow('no inactive_file');
  });
});
