service orders { void put(1: string what) }
