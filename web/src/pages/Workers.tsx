export function Component() { return <h1>Workers</h1>; }
