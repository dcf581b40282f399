export function Component() { return <h1>Setup</h1>; }
