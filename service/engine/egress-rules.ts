import { execFile } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import { access, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import ipaddr from 'ipaddr.js'

const run = promisify(execFile)
const LIMIT = 10_000

/** What a container of class `internet` may send to. */
export interface EgressOptions {
  /** Name of the bridge's interface on this machine. */
  bridge: string
  /** Prefix of the chains' names, upper case: `MEADOW`. */
  prefix: string
  /** IPv4 addresses of name servers that are asked in the container's name. */
  nameServers: string[]
  /** Where else they may send to, wherever that is: the operator's own index. */
  reachable: Endpoint[]
}

/** A TCP port of an IPv4 address. */
export interface Endpoint {
  address: string
  port: number
}

/**
 * Everything that is not the public internet (IANA special-purpose address registry), but for the documentation and
 * benchmarking ranges, which private networks do use for public services.
 */
const NOT_INTERNET = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.168.0.0/16',
  '224.0.0.0/4',
  '240.0.0.0/4',
]
const REJECT = '-j REJECT --reject-with icmp-admin-prohibited'

/**
 * Installs the rules, or puts right what is there: a chain `…-EGRESS` for what is forwarded from the bridge, entered
 * from Docker's own DOCKER-USER, and `…-HOST` for what is sent to this machine, entered from INPUT. Docker's resolver
 * (127.0.0.11) sends from the container's network, so the name servers' port 53 stays open. The bridge has no IPv6
 * addresses; what is sent all the same is dropped.
 * @throws where iptables is missing, Docker does not use it, or this process may not
 */
export async function installEgressRules(options: EgressOptions): Promise<void> {
  const { egress, host, index } = chains(options.prefix)
  // First, because the rest is of use only where Docker itself works with the same iptables.
  await iptables('iptables', '-S', 'DOCKER-USER')
  await restore('iptables-restore', egressTable(options))
  await jump('iptables', 'DOCKER-USER', options.bridge, egress)
  await jump('iptables', 'INPUT', options.bridge, host)
  // A chain of its own: another service on this machine, which knows of no index, leaves it alone.
  if (options.reachable.length > 0) {
    await restore('iptables-restore', indexTable(options))
    for (const from of ['DOCKER-USER', 'INPUT']) await jump('iptables', from, options.bridge, index)
  }
  // A kernel without IPv6 has nothing to drop, and no table to say so in.
  if (!(await exists('/proc/net/if_inet6'))) return
  await jump('ip6tables', 'FORWARD', options.bridge, 'DROP')
  await jump('ip6tables', 'INPUT', options.bridge, 'DROP')
}

/** Removes what `installEgressRules` installed; no error where it is gone. */
export async function removeEgressRules({ bridge, prefix }: Pick<EgressOptions, 'bridge' | 'prefix'>): Promise<void> {
  const { egress, host, index } = chains(prefix)
  const commands = [
    ['iptables', '-D', 'DOCKER-USER', '-i', bridge, '-j', egress],
    ['iptables', '-D', 'INPUT', '-i', bridge, '-j', host],
    ...['DOCKER-USER', 'INPUT'].map((from) => ['iptables', '-D', from, '-i', bridge, '-j', index]),
    ...[egress, host, index].flatMap((chain) => [
      ['iptables', '-F', chain],
      ['iptables', '-X', chain],
    ]),
    ['ip6tables', '-D', 'FORWARD', '-i', bridge, '-j', 'DROP'],
    ['ip6tables', '-D', 'INPUT', '-i', bridge, '-j', 'DROP'],
  ]
  for (const [tool, ...args] of commands as [string, ...string[]][]) await iptables(tool, ...args).catch(() => {})
}

/** Where a URL leads: the addresses that its host has now. None where nobody says it: who asks it says so then. */
export async function endpointsOf({ hostname, port, protocol }: URL): Promise<Endpoint[]> {
  const asked = lookup(hostname, { all: true, family: 4 }).catch(() => [])
  const found = await Promise.race([asked, sleep(LIMIT, [], { ref: false })])
  return found.map(({ address }) => ({ address, port: Number(port) || (protocol === 'https:' ? 443 : 80) }))
}

/** The IPv4 name servers that Docker gives its resolver on this machine: those of resolv.conf, loopback left out. */
export async function hostNameServers(): Promise<string[]> {
  const read = (path: string) => readFile(path, 'utf8').catch(() => '')
  const own = nameServers(await read('/etc/resolv.conf'))
  // Where systemd-resolved listens on the loopback, Docker reads the file that names the servers behind it.
  return own.length > 0 ? own : nameServers(await read('/run/systemd/resolve/resolv.conf'))
}

/** The IPv4 name servers of a resolv.conf (man 5 resolv.conf), loopback left out. */
export function nameServers(resolvConf: string): string[] {
  return resolvConf
    .split('\n')
    .flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? [])
    .filter((address) => ipaddr.IPv4.isValidFourPartDecimal(address) && !address.startsWith('127.'))
}

/** Both chains in the format of iptables-restore: with --noflush, naming a chain empties it, in one step with the rest. */
function egressTable({ prefix, nameServers }: EgressOptions): string {
  const { egress, host } = chains(prefix)
  const ask = (chain: string, verdict: string) =>
    nameServers.flatMap((address) =>
      ['udp', 'tcp'].map((protocol) => `-A ${chain} -d ${address}/32 -p ${protocol} --dport 53 -j ${verdict}`),
    )
  return [
    '*filter',
    `:${egress} - [0:0]`,
    `:${host} - [0:0]`,
    ...ask(egress, 'RETURN'),
    ...NOT_INTERNET.map((range) => `-A ${egress} -d ${range} ${REJECT}`),
    ...ask(host, 'ACCEPT'),
    `-A ${host} ${REJECT}`,
    'COMMIT',
    '',
  ].join('\n')
}

/** What is let through before the others are asked, by where it was sent: on its way to a published port it has another address. */
function indexTable({ prefix, reachable }: EgressOptions): string {
  const { index } = chains(prefix)
  const rows = reachable.map(
    ({ address, port }) => `-A ${index} -p tcp -m conntrack --ctorigdst ${address} --ctorigdstport ${port} -j ACCEPT`,
  )
  return ['*filter', `:${index} - [0:0]`, ...rows, 'COMMIT', ''].join('\n')
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

function chains(prefix: string) {
  return { egress: `${prefix}-EGRESS`, host: `${prefix}-HOST`, index: `${prefix}-INDEX` }
}

/** Sends what comes from the bridge to a chain first of all, once. */
async function jump(tool: string, from: string, bridge: string, to: string): Promise<void> {
  const rule = ['-i', bridge, '-j', to]
  const there = await iptables(tool, '-C', from, ...rule).then(
    () => true,
    () => false,
  )
  if (!there) await iptables(tool, '-I', from, '1', ...rule)
}

async function iptables(tool: string, ...args: string[]): Promise<void> {
  await run(tool, ['-w', '5', ...args], { timeout: LIMIT })
}

async function restore(tool: string, table: string): Promise<void> {
  const done = run(tool, ['-w', '5', '--noflush'], { timeout: LIMIT })
  done.child.stdin?.end(table)
  await done
}
