import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createServer, type Server } from 'node:net'
import { networkInterfaces } from 'node:os'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { dockerEngine } from '../../service/engine/docker.ts'
import { nameServers } from '../../service/engine/egress-rules.ts'
import type { NetworkClass } from '../../service/engine/engine.ts'
import { effectiveNetwork } from '../../service/engine/network-class.ts'
import { testEngine } from '../support/standbys.ts'

test('a wish that cannot be enforced widens only for trusted code', () => {
  const all: NetworkClass[] = ['none', 'internet', 'open']
  const few: NetworkClass[] = ['none', 'open']
  const given = (wanted: NetworkClass, trusted: boolean, enforced: NetworkClass[]) => {
    const { network, warning } = effectiveNetwork(wanted, trusted, enforced)
    return `${network}${warning ? ' with a warning' : ''}`
  }
  for (const trusted of [true, false]) {
    assert.equal(given('none', trusted, few), 'none')
    assert.equal(given('internet', trusted, all), 'internet')
  }
  assert.equal(given('open', true, all), 'open')
  assert.equal(given('internet', true, few), 'open with a warning')
  assert.equal(given('internet', false, few), 'none with a warning')
  assert.equal(given('open', false, all), 'none with a warning')
})

test('name servers of resolv.conf', () => {
  const file =
    '# nameserver 1.1.1.1\nnameserver 10.0.0.2\n nameserver\t8.8.8.8 \nnameserver ::1\nnameserver 127.0.0.53\noptions x\n'
  assert.deepEqual(nameServers(file), ['10.0.0.2', '8.8.8.8'])
})

describe('network classes', () => {
  // A prefix of its own: networks and rules are removed at the end, while others use theirs.
  const engine = dockerEngine({ networkPrefix: 'mdwnet' })
  const made = testEngine('network', engine)
  let listener: Server
  let port: number

  before(async () => {
    listener = createServer((socket) => socket.end('reached')).listen(0, '0.0.0.0')
    await new Promise((resolve) => listener.on('listening', resolve))
    port = (listener.address() as { port: number }).port
  })
  after(async () => {
    listener.close()
    for (const { id } of await engine.find({ 'run.meadow.node': `test-network-${process.pid}` })) {
      await engine.container(id).remove()
    }
    await engine.removeNetworks()
    await made.clean()
    assert.doesNotMatch(rules(), /MDWNET|mdwnet/, 'no rule is left')
  })

  /** What a Python program prints in a container of a class. */
  async function inside(network: NetworkClass, program: string, by = engine): Promise<string> {
    const container = await by.create(await made.spec(['python3', '-c', PROLOGUE + program], { network }))
    const { stdout, stderr, stdin } = await container.attach()
    stderr.resume()
    await container.start()
    stdin.end()
    const out = await text(stdout)
    await container.remove()
    return out.trim()
  }

  /** An address of this machine that is not one of Docker's, where it has one. */
  const ownAddress = Object.entries(networkInterfaces())
    .filter(([name]) => !/^(lo|docker|br-|mdw|meadow|veth)/.test(name))
    .flatMap(([, addresses]) => (addresses ?? []).filter(({ family }) => family === 'IPv4'))
    .map(({ address }) => `"${address}"`)
  const machine = ['gateway()', ...ownAddress]

  test('none: no interface but the loopback', async () => {
    assert.equal(await inside('none', 'print(os.listdir("/sys/class/net"))'), "['lo']")
  })

  test('open: the machine can be reached', async () => {
    const out = await inside('open', machine.map((address) => `print(reach(${address}, ${port}))`).join('\n'))
    assert.deepEqual(
      out.split('\n'),
      machine.map(() => 'reached'),
    )
  })

  test('internet: not the machine, not private addresses, not the metadata service', async () => {
    assert.deepEqual((await engine.info()).networks, ['none', 'internet', 'open'])
    // No more than six: the kernel answers a sender with so many refusals at a time.
    const addresses = [...machine, '"172.17.0.1"', '"10.1.2.3"', '"169.254.169.254"']
    const out = await inside('internet', addresses.map((address) => `print(reach(${address}, ${port}))`).join('\n'))
    assert.deepEqual(
      out.split('\n'),
      addresses.map(() => 'EHOSTUNREACH'),
    )
  })

  test("internet: the operator's own index, though it is on this machine, and nothing else there", async () => {
    const address = ownAddress[0]?.replaceAll('"', '')
    const own = dockerEngine({ networkPrefix: 'mdwnet', reachable: [new URL(`http://${address}:${port}/simple`)] })
    try {
      // Making a container puts the rules in place.
      const program = [`print(reach("${address}", ${port}))`, `print(reach("${address}", ${port + 1}))`].join('\n')
      assert.deepEqual((await inside('internet', program, own)).split('\n'), ['reached', 'EHOSTUNREACH'])
      assert.match(rules(), new RegExp(`-A MDWNET-INDEX .*--ctorigdst ${address} .*--ctorigdstport ${port} -j ACCEPT`))
    } finally {
      await own.close()
    }
  })

  test('internet: names are resolved as they are with open', async () => {
    // A name that does not exist is an answer; a resolver that can't be reached is "try again".
    const program = 'print(names("no-such-name.invalid"))'
    assert.equal(await inside('internet', program), await inside('open', program))
  })

  test('internet: rules that somebody removed are put right', async () => {
    execFileSync('iptables', ['-w', '-D', 'DOCKER-USER', '-i', 'mdwnet-inet', '-j', 'MDWNET-EGRESS'])
    execFileSync('iptables', ['-w', '-F', 'MDWNET-EGRESS'])
    const other = dockerEngine({ networkPrefix: 'mdwnet' })
    await other.info()
    await other.info()
    await other.close()
    assert.equal(rules().match(/-A DOCKER-USER -i mdwnet-inet -j MDWNET-EGRESS/g)?.length, 1)
    assert.match(rules(), /-A MDWNET-EGRESS -d 10\.0\.0\.0\/8 -j REJECT/)
    assert.equal(rules().match(/-A INPUT -i mdwnet-inet -j MDWNET-HOST/g)?.length, 1)
  })

  for (const network of ['internet', 'open'] as const) {
    test(`${network}: containers cannot talk to each other`, async () => {
      const serve =
        'import socket; s = socket.create_server(("0.0.0.0", 9000)); print(address(), flush=True)\nwhile True: s.accept()[0].sendall(b"reached")'
      const server = await engine.create(await made.spec(['python3', '-c', PROLOGUE + serve], { network }))
      const { stdout } = await server.attach()
      await server.start()
      const [address] = (await stdout.take(1).toArray()) as [Buffer]
      assert.match(
        await inside(network, `print(reach("${address.toString().trim()}", 9000))`),
        /EHOSTUNREACH|no answer/,
      )
      await server.remove()
    })
  }
})

const PROLOGUE = `
import errno, os, socket
def reach(host, port):
    try:
        with socket.create_connection((host, port), 2) as s:
            return s.recv(100).decode()
    except socket.timeout:
        return "no answer"
    except OSError as error:
        return errno.errorcode[error.errno]
def gateway():
    for line in open("/proc/net/route"):
        fields = line.split()
        if fields[1] == "00000000":
            return socket.inet_ntoa(bytes.fromhex(fields[2])[::-1])
def names(name):
    try:
        socket.getaddrinfo(name, 80)
    except socket.gaierror as error:
        return "answered" if error.errno == socket.EAI_NONAME else "no answer"
    return "answered"
def address():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect(("192.0.2.1", 9))
    return s.getsockname()[0]
`

function rules(): string {
  return execFileSync('iptables-save', { encoding: 'utf8' }) + execFileSync('ip6tables-save', { encoding: 'utf8' })
}
