export function Component() { return <h1>Usage</h1>; }
