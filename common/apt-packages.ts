/**
 * A Debian package as `additional-software` names it: `tree`, `libpq-dev=15.8-0+deb12u1`, `libc6:i386`. Names:
 * Debian Policy Manual, 5.6.1 and 5.6.12; nothing that apt would read as an option, a
 * path, a pattern, or (`name-`) as a wish to remove.
 */
export const APT_PACKAGE = /^[a-z0-9][a-z0-9.+-]*[a-z0-9+](?::[a-z0-9]+)?(?:=[0-9A-Za-z][0-9A-Za-z.+:~-]*)?$/

/** What a text that is no such name should look like. */
export const APT_PACKAGE_HINT = 'must be packages of apt like tree or libpq-dev=15.8-0+deb12u1'
